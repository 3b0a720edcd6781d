/** The lines of a log on screen. Keeps the newest; the whole log is a download. */

import { AnsiLines, type Line } from './ansi'

export const MAX_LINES = 100_000
/** Dropping in blocks, since removing from the front copies the rest. */
const SLACK = 5_000

export class LogBuffer {
  private lines: Line[] = []
  private parser = new AnsiLines()
  private droppedCount = 0

  /** Lines that no longer fit; the number of the first kept line is one more. */
  get dropped(): number {
    return this.droppedCount
  }

  get length(): number {
    return this.lines.length + (this.parser.current.length ? 1 : 0)
  }

  append(text: string): void {
    for (const line of this.parser.push(text)) this.lines.push(line)
    const excess = this.lines.length - MAX_LINES
    if (excess < SLACK) return
    this.lines = this.lines.slice(excess)
    this.droppedCount += excess
  }

  /** Lines `from` (inclusive) to `to` (exclusive), counted from the first kept one. */
  slice(from: number, to: number): Line[] {
    const part = this.lines.slice(from, to)
    if (to > this.lines.length && from <= this.lines.length && this.parser.current.length)
      part.push([...this.parser.current])
    return part
  }

  clear(): void {
    this.lines = []
    this.parser = new AnsiLines()
    this.droppedCount = 0
  }
}
