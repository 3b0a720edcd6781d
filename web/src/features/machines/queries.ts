import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'

import { api, data } from '@/api/client'
import type { ListQuery } from '@/api/listQuery'

export function useMachineList(query: () => ListQuery, enabled: () => boolean = () => true) {
  return useQuery({
    enabled,
    queryKey: computed(() => ['machines', 'list', query()]),
    queryFn: () => data(api.GET('/api/v1/machines', { params: { query: query() } })),
    placeholderData: keepPreviousData,
  })
}

/** `watching`: live figures are on screen, and samples are no "change" that an event would announce. */
export function useMachine(id: () => string, watching = false) {
  return useQuery({
    queryKey: computed(() => ['machines', 'one', id()]),
    queryFn: () => data(api.GET('/api/v1/machines/{machine_id}', { params: { path: { machine_id: id() } } })),
    // Only while the tab is in front (TanStack's default), and not of a machine that is no longer ours to see.
    refetchInterval: (query) => (watching && query.state.status !== 'error' ? 2_000 : false),
  })
}

export function useMachineHistory(id: () => string) {
  return useQuery({
    enabled: () => id() !== '',
    queryKey: computed(() => ['machines', 'history', id()]),
    queryFn: () =>
      data(
        api.GET('/api/v1/machines/{machine_id}/samples', {
          params: { path: { machine_id: id() }, query: { minutes: 60 } },
        }),
      ),
    staleTime: 60_000,
  })
}
