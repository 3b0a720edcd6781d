/**
 * Feeds a terminal no faster than it draws. xterm.js throws away what exceeds 50 MB of waiting output; here it waits
 * in order instead.
 */

type Write = (chunk: Uint8Array, done: () => void) => void

const IN_FLIGHT_BYTES = 1024 * 1024

export class WriteQueue {
  private waiting: Uint8Array[] = []
  private inFlight = 0

  constructor(private readonly write: Write) {}

  push(chunk: Uint8Array): void {
    this.waiting.push(chunk)
    this.pump()
  }

  clear(): void {
    this.waiting = []
  }

  private pump(): void {
    while (this.waiting.length > 0 && this.inFlight < IN_FLIGHT_BYTES) {
      const chunk = this.waiting.shift()
      if (!chunk) return
      this.inFlight += chunk.byteLength
      this.write(chunk, () => {
        this.inFlight -= chunk.byteLength
        this.pump()
      })
    }
  }
}
