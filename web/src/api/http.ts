/** `fetch` that carries the access token and renews it once on 401. Used by the client, the streams and downloads. */

import { currentToken, renewSession } from './session'

function withToken(request: Request, token: string | null): Request {
  if (token) request.headers.set('Authorization', `Bearer ${token}`)
  return request
}

/** Routes whose own 401 means wrong credentials, not an expired token. */
const CREDENTIAL_ROUTES = ['/auth/login', '/auth/refresh', '/auth/logout']

export async function authorizedFetch(input: Request): Promise<Response> {
  const spare = input.clone() // a body can be read only once
  const used = currentToken()
  const response = await fetch(withToken(input, used))
  if (response.status !== 401 || CREDENTIAL_ROUTES.some((route) => input.url.endsWith(route))) return response
  const renewed = currentToken() !== used || (await renewSession()).kind === 'renewed'
  return renewed ? await fetch(withToken(spare, currentToken())) : response
}
