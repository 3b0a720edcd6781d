// @vitest-environment jsdom

import { beforeEach, describe, expect, it, vi } from 'vitest'

import { authorizedFetch } from '@/api/http'
import { adoptLogin, currentToken, dropSession, onSessionChange, renewSession } from '@/api/session'
import type { Login } from '@/api/model'

function login(token: string): Login {
  return {
    access_token: token,
    expires_in: 900,
    must_change_password: false,
    user: {
      id: 'u',
      email: 'a@b',
      display_name: 'A',
      role: 'admin',
      customer_id: null,
      customer_name: null,
      must_change_password: false,
      disabled: false,
      created_at: '2026-01-01T00:00:00Z',
    },
  }
}

interface Call {
  path: string
  token: string | null
  body: string
}

/** A server that knows one valid token, and hands out the next with each renewal. */
function fakeServer(options: { validToken: string; renewal?: number }) {
  const calls: Call[] = []
  let valid = options.validToken
  vi.stubGlobal('fetch', async (input: Request | string) => {
    const request = typeof input === 'string' ? new Request(new URL(input, location.origin)) : input
    const call = {
      path: new URL(request.url).pathname,
      token: request.headers.get('authorization'),
      body: await request.text(),
    }
    calls.push(call)
    await Promise.resolve()
    if (call.path !== '/api/v1/auth/refresh') {
      return new Response('{}', { status: call.token === `Bearer ${valid}` ? 200 : 401 })
    }
    if (options.renewal) return new Response('{"code":"x"}', { status: options.renewal })
    valid = `renewed-${calls.filter(({ path }) => path === call.path).length}`
    return Response.json(login(valid))
  })
  return { calls, renewals: () => calls.filter(({ path }) => path === '/api/v1/auth/refresh').length }
}

function get(path: string): Request {
  return new Request(new URL(path, location.origin))
}

beforeEach(() => {
  vi.unstubAllGlobals()
  dropSession()
})

describe('an expired access token', () => {
  it('is renewed once for many calls at the same time, and each is sent again', async () => {
    const server = fakeServer({ validToken: 'old' })
    adoptLogin(login('expired'))
    const answers = await Promise.all(['/a', '/b', '/c', '/d'].map((path) => authorizedFetch(get(path))))
    expect(answers.map(({ status }) => status)).toEqual([200, 200, 200, 200])
    expect(server.renewals()).toBe(1)
    expect(currentToken()).toBe('renewed-1')
  })

  it('does not lose the body of the call that met it', async () => {
    const server = fakeServer({ validToken: 'other' })
    adoptLogin(login('expired'))
    const request = new Request(new URL('/tasks', location.origin), { method: 'POST', body: '{"name":"t"}' })
    expect((await authorizedFetch(request)).status).toBe(200)
    expect(server.calls.filter(({ path }) => path === '/tasks').map(({ body }) => body)).toEqual([
      '{"name":"t"}',
      '{"name":"t"}',
    ])
  })

  it('is renewed again the next time', async () => {
    const server = fakeServer({ validToken: 'x' })
    adoptLogin(login('expired'))
    await authorizedFetch(get('/a'))
    adoptLogin(login('expired again'))
    await authorizedFetch(get('/a'))
    expect(server.renewals()).toBe(2)
  })
})

describe('a renewal that fails', () => {
  it('ends the session when the server says no, and the first answer stands', async () => {
    const server = fakeServer({ validToken: 'x', renewal: 401 })
    const seen: (string | null)[] = []
    adoptLogin(login('expired'))
    const stop = onSessionChange((next) => seen.push(next?.access_token ?? null))
    expect((await authorizedFetch(get('/a'))).status).toBe(401)
    stop()
    expect(seen).toEqual([null])
    expect(currentToken()).toBeNull()
    expect(server.renewals()).toBe(1)
  })

  it('keeps the session when the server is only in trouble', async () => {
    fakeServer({ validToken: 'x', renewal: 503 })
    adoptLogin(login('expired'))
    expect(await renewSession()).toMatchObject({ kind: 'failed', problem: { status: 503 } })
    expect(currentToken()).toBe('expired')
  })

  it('keeps the session when the server can not be reached', async () => {
    adoptLogin(login('expired'))
    vi.stubGlobal('fetch', () => Promise.reject(new TypeError('connection refused')))
    expect(await renewSession()).toMatchObject({ kind: 'failed', problem: { code: 'unreachable' } })
    expect(currentToken()).toBe('expired')
  })
})

describe('wrong credentials', () => {
  it('are answered as they are, without a renewal', async () => {
    const server = fakeServer({ validToken: 'x' })
    const request = new Request(new URL('/api/v1/auth/login', location.origin), {
      method: 'POST',
      body: '{}',
    })
    expect((await authorizedFetch(request)).status).toBe(401)
    expect(server.renewals()).toBe(0)
  })
})
