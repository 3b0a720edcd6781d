// @vitest-environment jsdom

import { QueryClient, useQuery, VueQueryPlugin } from '@tanstack/vue-query'
import { mount } from '@vue/test-utils'
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'
import { defineComponent, h } from 'vue'

import { backoffMs } from '@/api/backoff'
import { ChangeCoalescer } from '@/app/live/coalesce'
import { EventStream, type LiveStatus } from '@/app/live/eventStream'
import { isTouched, parseChange } from '@/app/live/topics'
import { useLiveUpdates } from '@/app/live/useLiveUpdates'

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

  it('of live figures touches the one machine, and no list for it', () => {
    expect(parseChange('{"topic":"samples","id":"m1"}')).toEqual({ topic: 'samples', id: 'm1' })
    const touched = (key: string[]) => isTouched(key, 'samples', new Set(['m1']))
    expect(touched(['machines', 'one', 'm1'])).toBe(true)
    for (const other of [
      ['machines', 'one', 'm2'],
      ['machines', 'list'],
      ['machines', 'history', 'm1'],
      ['overview'],
    ])
      expect(touched(other)).toBe(false)
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

  it('of live figures goes out once a second at most', () => {
    const flush = vi.fn()
    const coalescer = new ChangeCoalescer(flush)
    for (let index = 0; index < 100; index += 1) {
      coalescer.add({ topic: 'samples', id: 'm' })
      vi.advanceTimersByTime(50)
    }
    expect(flush.mock.calls.length).toBeGreaterThanOrEqual(5)
    expect(flush.mock.calls.length).toBeLessThanOrEqual(6)
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

/** A page that asks for one machine, below a frame that listens to events; `live` as the machine's page is. */
function pageOf(live: boolean, ask: () => Promise<string>) {
  const Page = defineComponent(() => {
    useQuery({ queryKey: ['machines', 'one', 'm'], queryFn: ask, meta: { live } })
    return () => null
  })
  const Frame = defineComponent(() => {
    useLiveUpdates()
    return () => h(Page)
  })
  return mount(Frame, { global: { plugins: [[VueQueryPlugin, { queryClient: new QueryClient() }]] } })
}

describe('a sample', () => {
  const SAMPLE = 'event: change\ndata: {"topic":"samples","id":"m"}\n\n'

  it('is asked for by a page that shows figures, and by no other', async () => {
    for (const [live, asked] of [
      [true, 3],
      [false, 1],
    ] as const) {
      const server = fakeEvents()
      const ask = vi.fn(() => Promise.resolve('figures'))
      const page = pageOf(live, ask)
      await vi.advanceTimersByTimeAsync(10)
      for (let sample = 0; sample < 2; sample += 1) {
        server.write(SAMPLE)
        await vi.advanceTimersByTimeAsync(2_000)
      }
      expect(ask).toHaveBeenCalledTimes(asked)
      page.unmount()
    }
  })

  it('waits for the answer that is on its way, however slow', async () => {
    const server = fakeEvents()
    const ask = vi.fn(() => new Promise<string>((resolve) => setTimeout(() => resolve('figures'), 5_000)))
    const page = pageOf(true, ask)
    await vi.advanceTimersByTimeAsync(5_010)
    for (let sample = 0; sample < 4; sample += 1) {
      server.write(SAMPLE)
      await vi.advanceTimersByTimeAsync(1_100)
    }
    expect(ask).toHaveBeenCalledTimes(2)
    page.unmount()
  })
})

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
