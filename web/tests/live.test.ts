// @vitest-environment jsdom

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { backoffMs } from '@/api/backoff'
import { ChangeCoalescer } from '@/app/live/coalesce'
import { EventStream, type LiveStatus } from '@/app/live/eventStream'
import { isTouched, parseChange } from '@/app/live/topics'

beforeEach(() => vi.useFakeTimers())
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('a change', () => {
  it('is read from the event, and unknown topics are left alone', () => {
    expect(parseChange('{"topic":"tasks","id":"7"}')).toEqual({ topic: 'tasks', id: '7' })
    expect(parseChange('{"topic":"tasks"}')).toEqual({ topic: 'tasks', id: '' })
    for (const other of ['{"topic":"weather","id":"7"}', 'null', '[]', 'not json'])
      expect(parseChange(other)).toBeNull()
  })

  it('touches the lists of its topic, the one thing, and the overview', () => {
    const touched = (key: string[]) => isTouched(key, 'machines', new Set(['m1']))
    expect(touched(['machines', 'list', 'x'])).toBe(true)
    expect(touched(['machines', 'one', 'm1'])).toBe(true)
    expect(touched(['machines', 'one', 'm2'])).toBe(false)
    expect(touched(['machines', 'history', 'm1'])).toBe(false)
    expect(touched(['tasks', 'list'])).toBe(false)
    expect(touched(['overview'])).toBe(true)
    expect(isTouched(['overview'], 'audit', new Set(['1']))).toBe(false)
    expect(isTouched(['tasks', 'one', 't'], 'tasks', new Set(['']))).toBe(true)
  })
})

describe('a burst of changes', () => {
  it('goes out at once and then in batches, at most two a second per topic', () => {
    const flushed: [string, string[]][] = []
    const coalescer = new ChangeCoalescer((topic, ids) => flushed.push([topic, [...ids]]))
    for (let index = 0; index < 100; index += 1) {
      coalescer.add({ topic: 'tasks', id: String(index % 3) })
      vi.advanceTimersByTime(20)
    }
    coalescer.add({ topic: 'machines', id: 'm' })
    vi.advanceTimersByTime(2_000)
    const tasks = flushed.filter(([topic]) => topic === 'tasks')
    expect(tasks[0]).toEqual(['tasks', ['0']])
    expect(tasks.length).toBeLessThanOrEqual(6)
    expect(tasks.slice(1).every(([, ids]) => ids.length <= 3)).toBe(true)
    expect(flushed).toContainEqual(['machines', ['m']])
  })

  it('ends with the page', () => {
    const flush = vi.fn()
    const coalescer = new ChangeCoalescer(flush)
    coalescer.add({ topic: 'tasks', id: '1' })
    coalescer.add({ topic: 'tasks', id: '2' })
    coalescer.stop()
    vi.advanceTimersByTime(5_000)
    expect(flush).toHaveBeenCalledTimes(1)
  })
})

/** A server whose streams the test writes to and cuts. */
function fakeEvents() {
  const streams: ReadableStreamDefaultController<Uint8Array>[] = []
  let down = false
  vi.stubGlobal('fetch', (request: Request) => {
    if (down) return Promise.reject(new TypeError('refused'))
    const body = new ReadableStream<Uint8Array>({
      start: (controller) => {
        streams.push(controller)
        request.signal.addEventListener('abort', () =>
          controller.error(new DOMException('aborted', 'AbortError')),
        )
      },
    })
    return Promise.resolve(new Response(body))
  })
  const write = (text: string) => streams.at(-1)?.enqueue(new TextEncoder().encode(text))
  return { streams, write, setDown: (value: boolean) => (down = value) }
}

describe('the event stream', () => {
  it('connects again when it ends, with a growing pause while the server is down', async () => {
    const server = fakeEvents()
    const statuses: LiveStatus[] = []
    const events: string[] = []
    const stream = new EventStream({
      onEvent: ({ data }) => events.push(data),
      onStatus: (status) => statuses.push(status),
    })
    stream.start()
    await vi.advanceTimersByTimeAsync(0)
    server.write('event: change\ndata: one\n\n')
    await vi.advanceTimersByTimeAsync(0)
    server.setDown(true)
    server.streams[0]?.close()
    await vi.advanceTimersByTimeAsync(60_000)
    expect(server.streams).toHaveLength(1)
    expect(statuses.filter((status) => status === 'reconnecting').length).toBeGreaterThan(4)
    server.setDown(false)
    await vi.advanceTimersByTimeAsync(20_000)
    expect(statuses.at(-1)).toBe('live')
    server.write('data: two\n\n')
    await vi.advanceTimersByTimeAsync(0)
    expect(events).toEqual(['one', 'two'])
    stream.stop()
  })

  it('does not trust a silent connection', async () => {
    const server = fakeEvents()
    const stream = new EventStream({ onEvent: () => undefined, onStatus: () => undefined })
    stream.start()
    for (let quarter = 0; quarter < 8; quarter += 1) {
      await vi.advanceTimersByTimeAsync(15_000)
      server.write(': still here\n\n')
    }
    expect(server.streams).toHaveLength(1)
    await vi.advanceTimersByTimeAsync(60_000)
    expect(server.streams).toHaveLength(2)
    stream.stop()
  })

  it('stays closed once stopped', async () => {
    const server = fakeEvents()
    const statuses: LiveStatus[] = []
    const stream = new EventStream({ onEvent: () => undefined, onStatus: (status) => statuses.push(status) })
    stream.start()
    await vi.advanceTimersByTimeAsync(0)
    stream.stop()
    await vi.advanceTimersByTimeAsync(120_000)
    expect(server.streams).toHaveLength(1)
    expect(statuses.at(-1)).toBe('paused')
  })
})

describe('the back-off', () => {
  it('doubles up to its limit, half of it by chance', () => {
    const limits = { firstMs: 1_000, longestMs: 20_000 }
    expect([0, 1, 2, 10, 5_000].map((attempt) => backoffMs(attempt, limits, () => 1))).toEqual([
      1_000, 2_000, 4_000, 20_000, 20_000,
    ])
    expect(backoffMs(0, limits, () => 0)).toBe(500)
  })
})
