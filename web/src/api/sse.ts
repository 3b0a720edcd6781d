/** Server-sent events over `fetch`, because `EventSource` can not send an Authorization header. */

export interface ServerEvent {
  event: string
  data: string
  id: string
}

/**
 * Incremental parser of the event stream format (HTML standard, section 9.2.6). Feed it decoded text in pieces of
 * any size; it returns the events completed by that piece. Comments and `retry` are dropped.
 */
export class EventStreamParser {
  private rest = ''
  private event = ''
  private data: string[] = []
  private id = ''
  private atStart = true

  push(text: string): ServerEvent[] {
    this.rest += this.atStart && text.startsWith('\uFEFF') ? text.slice(1) : text
    if (text) this.atStart = false
    const events: ServerEvent[] = []
    for (let line = this.nextLine(); line !== null; line = this.nextLine()) {
      const event = this.takeLine(line)
      if (event) events.push(event)
    }
    return events
  }

  /** One complete line without its end, or null. A trailing CR waits, since its LF may come with the next piece. */
  private nextLine(): string | null {
    const end = this.rest.search(/[\r\n]/)
    if (end < 0) return null
    if (this.rest[end] === '\r' && end + 1 === this.rest.length) return null
    const width = this.rest.startsWith('\r\n', end) ? 2 : 1
    const line = this.rest.slice(0, end)
    this.rest = this.rest.slice(end + width)
    return line
  }

  private takeLine(line: string): ServerEvent | null {
    if (line === '') return this.dispatch()
    const colon = line.indexOf(':')
    if (colon === 0) return null
    const field = colon < 0 ? line : line.slice(0, colon)
    const value = colon < 0 ? '' : line.slice(colon + 1).replace(/^ /, '')
    if (field === 'data') this.data.push(value)
    else if (field === 'event') this.event = value
    else if (field === 'id' && !value.includes('\0')) this.id = value
    return null
  }

  private dispatch(): ServerEvent | null {
    const { event, data } = this
    this.event = ''
    this.data = []
    return data.length ? { event: event || 'message', data: data.join('\n'), id: this.id } : null
  }
}

export interface ReadOptions {
  onEvent: (event: ServerEvent) => void
  /** Called for every piece received, comments included: a sign of life. */
  onActivity?: () => void
}

/** Reads the stream to its end. Throws what the reader throws (abort, lost connection). */
export async function readEventStream(body: ReadableStream<Uint8Array>, options: ReadOptions): Promise<void> {
  const parser = new EventStreamParser()
  const decoder = new TextDecoder()
  const reader = body.getReader()
  for (let piece = await reader.read(); !piece.done; piece = await reader.read()) {
    options.onActivity?.()
    for (const event of parser.push(decoder.decode(piece.value, { stream: true }))) options.onEvent(event)
  }
}
