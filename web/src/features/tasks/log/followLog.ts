/** Follows a task's log to its end: catches up from the last known byte after every lost connection. */

import { backoffMs } from '@/api/backoff'
import { authorizedFetch } from '@/api/http'
import { problemOf, type ApiProblem } from '@/api/problem'
import { readEventStream, type ServerEvent } from '@/api/sse'

export type LogStatus =
  | { kind: 'connecting' }
  | { kind: 'live' }
  | { kind: 'reconnecting' }
  | { kind: 'ended'; truncated: boolean }
  | { kind: 'failed'; problem: ApiProblem }

interface LogChunk {
  offset: number
  text: string
  next_offset: number
}

interface Options {
  taskId: string
  /** Only this attempt; absent: the latest, and those that follow it. */
  attempt: number | null
  /** `received`: bytes of the log so far. */
  onText: (text: string, received: number) => void
  /** The log starts again at byte 0: the task is tried another time. */
  onRestart: () => void
  onStatus: (status: LogStatus) => void
  fetch?: (request: Request) => Promise<Response>
  sleep?: (ms: number, signal: AbortSignal) => Promise<void>
}

const BACKOFF = { firstMs: 500, longestMs: 10_000 }

export class LogFollower {
  private readonly controller = new AbortController()
  private offset = 0
  private failures = 0
  private ended = false

  constructor(private readonly options: Options) {}

  /** Resolves when the log has ended, failed for good, or was stopped. */
  async run(): Promise<void> {
    const { signal } = this.controller
    const sleep = this.options.sleep ?? pause
    this.options.onStatus({ kind: 'connecting' })
    while (!signal.aborted && !this.ended) {
      try {
        await this.readOnce()
      } catch {
        // Lost: the loop below connects again from the same byte.
      }
      if (this.isOver()) return
      this.options.onStatus({ kind: 'reconnecting' })
      await sleep(backoffMs(this.failures++, BACKOFF), signal)
    }
  }

  stop(): void {
    this.controller.abort()
  }

  private isOver(): boolean {
    return this.ended || this.controller.signal.aborted
  }

  private async readOnce(): Promise<void> {
    const response = await (this.options.fetch ?? authorizedFetch)(this.request())
    if (!response.ok || !response.body) {
      await this.refuse(response)
      return
    }
    this.options.onStatus({ kind: 'live' })
    await readEventStream(response.body, { onEvent: (event) => this.take(event) })
  }

  private request(): Request {
    const url = new URL(`/api/v1/tasks/${this.options.taskId}/log/stream`, location.origin)
    url.searchParams.set('offset', String(this.offset))
    if (this.options.attempt !== null) url.searchParams.set('attempt', String(this.options.attempt))
    return new Request(url, { headers: { Accept: 'text/event-stream' }, signal: this.controller.signal })
  }

  /** A "no" of the server is final; trouble on its side is not. */
  private async refuse(response: Response): Promise<void> {
    const problem = await problemOf(response)
    if (response.status >= 500 || response.status === 429) return
    this.ended = true
    this.options.onStatus({ kind: 'failed', problem })
  }

  private take({ event, data }: ServerEvent): void {
    this.failures = 0
    if (event === 'chunk') this.takeChunk(JSON.parse(data) as LogChunk)
    if (event !== 'end') return
    this.ended = true
    this.options.onStatus({
      kind: 'ended',
      truncated: (JSON.parse(data) as { truncated?: boolean }).truncated ?? false,
    })
  }

  private takeChunk(chunk: LogChunk): void {
    if (chunk.offset < this.offset) this.options.onRestart()
    this.offset = chunk.next_offset
    this.options.onText(chunk.text, this.offset)
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(resolve, ms)
    signal.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        resolve()
      },
      { once: true },
    )
  })
}
