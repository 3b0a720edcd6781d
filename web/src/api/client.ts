/** The typed client, generated types from openapi.json. Answers data or throws `ApiProblem`. */

import createClient from 'openapi-fetch'

import { authorizedFetch } from './http'
import { problemFrom, unreachableProblem } from './problem'
import type { paths } from './schema'

export const api = createClient<paths>({
  // An absolute base, because Request refuses relative URLs outside of a browser (unit tests).
  baseUrl: globalThis.location.origin,
  fetch: authorizedFetch,
  credentials: 'same-origin',
})

interface Answer<Data> {
  data?: Data
  error?: unknown
  response: Response
}

/** Unwraps an answer: `await data(api.GET('/api/v1/overview'))`. */
export async function data<Data>(pending: Promise<Answer<Data>>): Promise<Exclude<Data, undefined>> {
  const answer = await pending.catch((cause: unknown) => {
    throw unreachableProblem(cause)
  })
  if (!answer.response.ok) throw problemFrom(answer.response, answer.error)
  return answer.data as Exclude<Data, undefined>
}
