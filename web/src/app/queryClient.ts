import { QueryCache, QueryClient } from '@tanstack/vue-query'

import { asProblem, type ApiProblem } from '@/api/problem'

/** Answers that another try will not change. */
function isFinal(problem: ApiProblem): boolean {
  return problem.status >= 400 && problem.status < 500 && problem.status !== 429
}

export function createQueryClient(onProblem: (problem: ApiProblem) => void): QueryClient {
  return new QueryClient({
    queryCache: new QueryCache({ onError: (error) => onProblem(asProblem(error)) }),
    defaultOptions: {
      queries: {
        // Events say when something changed, so fresh data need not be asked for again on every mount.
        staleTime: 5_000,
        refetchOnWindowFocus: true,
        retry: (failures, error) => failures < 2 && !isFinal(asProblem(error)),
      },
      mutations: { retry: false },
    },
  })
}
