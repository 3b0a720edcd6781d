import { describe, expect, it } from 'vitest'

import { problemFrom } from '@/api/problem'
import { navigationFor } from '@/app/navigation'
import { nextStop, safeReturnPath } from '@/app/routeGuard'
import { readListState, toggledSort, writeListState } from '@/composables/listState'
import { byTag, matches, operationsOf, rowsOf, typeOf, type OpenApi } from '@/features/api-docs/openapi'
import { historyLine, hottest, meanUtilization, withSample } from '@/features/machines/gpuFigures'
import { attentionItems } from '@/features/overview/attention'
import type { GpuSample, HostSample, Overview } from '@/api/model'

describe('what each role sees', () => {
  const names = (role: 'admin' | 'customer_owner' | 'customer_member') =>
    navigationFor(role).flatMap(({ items }) => items.map(({ name }) => name))

  it('is everything but a company of their own for admins', () => {
    expect(names('admin')).toEqual(
      expect.arrayContaining(['customers', 'join-tokens', 'audit', 'machines', 'tasks']),
    )
    expect(names('admin')).not.toContain('members')
  })

  it('is the own company for owners and the machines for members', () => {
    expect(names('customer_owner')).toContain('members')
    for (const page of ['customers', 'join-tokens', 'audit'])
      expect(names('customer_owner')).not.toContain(page)
    expect(names('customer_member')).not.toContain('members')
    expect(names('customer_member')).toEqual(
      expect.arrayContaining(['machines', 'tasks', 'ssh-keys', 'tokens']),
    )
  })
})

describe('a navigation', () => {
  const everyone = ['admin', 'customer_owner', 'customer_member'] as const
  const to = (name: string, fullPath: string, roles?: readonly (typeof everyone)[number][], query = {}) => ({
    name,
    fullPath,
    query,
    roles,
  })
  const member = { status: 'signed_in', role: 'customer_member', mustChangePassword: false } as const
  const stranger = { status: 'signed_out', role: null, mustChangePassword: false } as const

  it('of a stranger goes to the sign-in and remembers the way', () => {
    expect(nextStop(to('tasks', '/tasks?state=failed', everyone), stranger)).toEqual({
      name: 'sign-in',
      query: { next: '/tasks?state=failed' },
    })
    expect(nextStop(to('sign-in', '/sign-in'), stranger)).toBe(true)
  })

  it('with a first password goes nowhere but to changing it', () => {
    const fresh = { ...member, mustChangePassword: true }
    expect(nextStop(to('tasks', '/tasks', everyone), fresh)).toEqual({
      name: 'change-password',
      query: { next: '/tasks' },
    })
    expect(nextStop(to('change-password', '/change-password', everyone), fresh)).toBe(true)
  })

  it('to a page of another role ends at the overview', () => {
    expect(nextStop(to('audit', '/audit', ['admin']), member)).toEqual({ name: 'overview' })
    expect(nextStop(to('tasks', '/tasks', everyone), member)).toBe(true)
  })

  it('never leaves the console after signing in', () => {
    expect(nextStop(to('sign-in', '/sign-in', undefined, { next: '/machines' }), member)).toBe('/machines')
    for (const evil of [
      '//evil.example',
      '/\\evil.example',
      'https://evil.example',
      'javascript:alert(1)',
      7,
    ]) {
      expect(safeReturnPath(evil)).toBe('/')
    }
  })
})

describe('the state of a list in the URL', () => {
  const defaults = { sort: 'name', filters: ['state'] }

  it('comes back as it went, without what is usual', () => {
    const state = { page: 3, pageSize: 100, sort: '-name', q: 'h100', filters: { state: 'online' } }
    expect(readListState(writeListState(state, defaults), defaults)).toEqual(state)
    expect(writeListState(readListState({}, defaults), defaults)).toEqual({})
  })

  it('is not upset by nonsense', () => {
    const state = readListState(
      { page: '-1', page_size: '9999', sort: ['a', 'b'], state: null, other: 'x' },
      defaults,
    )
    expect(state).toEqual({ page: 1, pageSize: 50, sort: 'a', q: '', filters: {} })
  })

  it('turns the order around at the second press', () => {
    expect(toggledSort('name', 'state')).toBe('state')
    expect(toggledSort('state', 'state')).toBe('-state')
    expect(toggledSort('-state', 'state')).toBe('state')
  })
})

describe('GPU figures', () => {
  const gpu = (utilization_ratio: number | null, temperature_celsius: number | null = null) =>
    ({ index: 0, uuid: 'u', utilization_ratio, temperature_celsius }) as GpuSample
  const sample = (taken_at: number, ratio: number) =>
    ({
      taken_at,
      cpu_ratio: ratio,
      memory_used_bytes: 0,
      memory_total_bytes: 1,
      load_1m: 0,
      gpus: [],
    }) as HostSample

  it('leave out what is not reported', () => {
    expect(meanUtilization([gpu(0.2), gpu(null), gpu(0.4)])).toBeCloseTo(0.3)
    expect(meanUtilization([gpu(null)])).toBeNull()
    expect(hottest([gpu(0, 40), gpu(0, 71), gpu(0)])).toBe(71)
    expect(hottest(undefined)).toBeNull()
  })

  it('have a gap in their line where the machine was silent', () => {
    const line = historyLine([sample(0, 0.1), sample(60, 0.2), sample(300, 0.3)], (host) => host.cpu_ratio)
    expect(line.map(({ ratio }) => ratio)).toEqual([0.1, 0.2, null, 0.3])
  })

  it('grow by the live sample, once, and keep an hour', () => {
    const grown = withSample([sample(0, 0), sample(3_000, 0)], sample(3_605, 1))
    expect(grown.map(({ taken_at }) => taken_at)).toEqual([3_000, 3_605])
    expect(withSample(grown, sample(3_605, 1))).toHaveLength(2)
    expect(withSample([], null)).toEqual([])
  })
})

describe('what needs attention', () => {
  const calm: Overview = {
    machines: {
      total: 3,
      online: 2,
      allocated: 1,
      unreachable: 0,
      maintenance: 0,
      reclaiming: 0,
      quarantined: 0,
    },
    gpus: { total: 24, leased: 8, busy: 4 },
    tasks: { queued: 0, running: 1, failed_24h: 0, succeeded_24h: 5 },
    allocations: { active: 1, ending_7d: 0 },
    sessions: { active: 0 },
    simulated: false,
  }

  it('is nothing on a calm day', () => expect(attentionItems(calm)).toEqual([]))

  it('is listed worst first', () => {
    const bad = {
      ...calm,
      machines: { ...calm.machines, unreachable: 2, maintenance: 1 },
      tasks: { ...calm.tasks, failed_24h: 4 },
    }
    expect(attentionItems(bad).map(({ key, count }) => [key, count])).toEqual([
      ['unreachable', 2],
      ['failed', 4],
      ['maintenance', 1],
    ])
  })
})

describe('a problem', () => {
  it('carries what the server said', () => {
    const body = {
      code: 'locked_out',
      title: 'Slow down',
      detail: 'wait',
      request_id: 'r1',
      retry_after: 30,
      errors: [{ field: 'email', expected: 'x' }],
    }
    const problem = problemFrom(new Response(null, { status: 429 }), body)
    expect(problem).toMatchObject({
      status: 429,
      code: 'locked_out',
      message: 'wait',
      requestId: 'r1',
      retryAfterSeconds: 30,
    })
    expect(problem.errors).toEqual([{ field: 'email', expected: 'x', found: '' }])
  })

  it('is made from whatever a proxy answers', () => {
    const response = new Response(null, {
      status: 502,
      headers: { 'retry-after': '5', 'x-request-id': 'r2' },
    })
    expect(problemFrom(response, '<html>')).toMatchObject({
      code: 'http_502',
      requestId: 'r2',
      retryAfterSeconds: 5,
    })
  })
})

describe('the API reference', () => {
  const document: OpenApi = {
    info: { title: 'x', version: '1' },
    paths: {
      '/machines': {
        get: {
          tags: ['machines'],
          summary: 'List',
          responses: {
            200: {
              content: {
                'application/json': { schema: { $ref: '#/components/schemas/Page_a.MachineView_' } },
              },
            },
          },
        },
        post: { summary: 'Add' },
      },
    },
    components: {
      schemas: {
        'Page_a.MachineView_': {
          properties: { items: { items: { $ref: '#/components/schemas/Machine' } } },
          required: ['items'],
        },
        Machine: { properties: { self: { $ref: '#/components/schemas/Machine' } } },
      },
    },
  }

  it('finds operations by path, method and words', () => {
    const operations = operationsOf(document)
    expect(byTag(operations).map(([tag, found]) => [tag, found.length])).toEqual([
      ['machines', 1],
      ['other', 1],
    ])
    expect(operations.filter((operation) => matches(operation, 'get MACH')).length).toBe(1)
    expect(operations.filter((operation) => matches(operation, '')).length).toBe(2)
  })

  it('names types and their fields, also of types that hold themselves', () => {
    expect(typeOf({ oneOf: [{ type: 'string', format: 'uuid' }, { type: 'null' }] })).toBe(
      'string (uuid) | null',
    )
    expect(typeOf({ type: 'integer', minimum: 1, maximum: 200 })).toBe('integer ≥ 1 ≤ 200')
    expect(typeOf({ $ref: '#/components/schemas/Page_a.b.MachineView_' })).toBe('Page<MachineView>')
    expect(rowsOf({ $ref: '#/components/schemas/Page_a.MachineView_' }, document)).toEqual([
      { name: 'items', type: 'Machine[]', required: true, description: '' },
    ])
    expect(rowsOf({ $ref: '#/components/schemas/Machine' }, document)[0]?.type).toBe('Machine')
  })
})
