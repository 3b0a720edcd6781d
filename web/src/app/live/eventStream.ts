/** One connection to `GET /api/v1/events`, kept open: reconnects with back-off, notices silence. */

import { backoffMs } from '@/api/backoff'
import { authorizedFetch } from '@/api/http'
import { readEventStream, type ServerEvent } from '@/api/sse'

export type LiveStatus = 'connecting' | 'live' | 'reconnecting' | 'paused'

/** The server sends a comment every 15 s; after three missing ones the connection is dead, whatever TCP thinks. */
const SILENCE_MS = 45_000
const BACKOFF = { firstMs: 1_000, longestMs: 10_000 }

interface Options {
  onEvent: (event: ServerEvent) => void
  onStatus: (status: LiveStatus) => void
}

export class EventStream {
  private controller: AbortController | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private failures = 0

  constructor(private readonly options: Options) {}

  start(): void {
    if (this.controller) return
    this.failures = 0
    this.options.onStatus('connecting')
    void this.connect()
  }

  stop(): void {
    clearTimeout(this.timer)
    const open = this.controller
    this.controller = null
    open?.abort()
    this.options.onStatus('paused')
  }

  private async connect(): Promise<void> {
    const controller = new AbortController()
    this.controller = controller
    try {
      await this.consume(controller)
    } catch {
      // Any end of the stream, clean or not, is answered the same way: connect again.
    }
    if (this.controller !== controller) return // stopped, or already replaced
    this.options.onStatus('reconnecting')
    this.timer = setTimeout(() => void this.connect(), backoffMs(this.failures++, BACKOFF))
  }

  private async consume(controller: AbortController): Promise<void> {
    const url = new URL('/api/v1/events', location.origin)
    const request = new Request(url, { headers: { Accept: 'text/event-stream' }, signal: controller.signal })
    const response = await authorizedFetch(request)
    if (!response.ok || !response.body) throw new Error(`events answered ${response.status}`)
    this.failures = 0
    this.options.onStatus('live')
    let watchdog = this.armWatchdog(controller)
    try {
      await readEventStream(response.body, {
        onEvent: this.options.onEvent,
        onActivity: () => {
          clearTimeout(watchdog)
          watchdog = this.armWatchdog(controller)
        },
      })
    } finally {
      clearTimeout(watchdog)
    }
  }

  private armWatchdog(controller: AbortController): ReturnType<typeof setTimeout> {
    return setTimeout(() => controller.abort(), SILENCE_MS)
  }
}
