/**
 * The access token, in memory only, and its renewal through the HttpOnly refresh cookie.
 *
 * The refresh token rotates, and using an old one revokes the whole family: two renewals at once would sign the
 * user out. Within a page they share one promise; across tabs a Web Lock (where the context is secure) queues them.
 */

import type { Login } from './model'
import { asProblem, problemOf, type ApiProblem } from './problem'

export type RenewalOutcome =
  { kind: 'renewed'; login: Login } | { kind: 'signed_out' } | { kind: 'failed'; problem: ApiProblem }

type SessionListener = (login: Login | null) => void

let accessToken: string | null = null
let renewal: Promise<RenewalOutcome> | null = null
const listeners = new Set<SessionListener>()

export function currentToken(): string | null {
  return accessToken
}

/** Called with each new sign-in or renewal, and with null when the session is over. */
export function onSessionChange(listener: SessionListener): () => void {
  listeners.add(listener)
  return () => listeners.delete(listener)
}

export function adoptLogin(login: Login): void {
  accessToken = login.access_token
  for (const listener of listeners) listener(login)
}

export function dropSession(): void {
  accessToken = null
  for (const listener of listeners) listener(null)
}

/** Renews once, however many callers ask at the same time. */
export function renewSession(): Promise<RenewalOutcome> {
  renewal ??= exclusively(requestRenewal).finally(() => {
    renewal = null
  })
  return renewal
}

async function exclusively<T>(work: () => Promise<T>): Promise<T> {
  // `locks` is missing on plain http:// other than loopback, whatever the type says.
  const locks = navigator.locks as LockManager | undefined
  return locks ? await locks.request('remotegpu.refresh', work) : await work()
}

async function requestRenewal(): Promise<RenewalOutcome> {
  let response: Response
  try {
    response = await fetch('/api/v1/auth/refresh', { method: 'POST', credentials: 'same-origin' })
  } catch (error) {
    return { kind: 'failed', problem: asProblem(error) }
  }
  if (response.ok) {
    const login = (await response.json()) as Login
    adoptLogin(login)
    return { kind: 'renewed', login }
  }
  // Only the server's "no" ends the session; a restart or an overload does not.
  if (response.status !== 401 && response.status !== 403) {
    return { kind: 'failed', problem: await problemOf(response) }
  }
  dropSession()
  return { kind: 'signed_out' }
}
