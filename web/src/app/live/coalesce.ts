/** Gathers bursts: per topic, the first change goes out at once, what follows in one batch per interval. */

import { leastGapMs, type Change, type Topic } from './topics'

type Flush = (topic: Topic, ids: ReadonlySet<string>) => void

export class ChangeCoalescer {
  private readonly waiting = new Map<Topic, Set<string>>()
  private readonly timers = new Map<Topic, ReturnType<typeof setTimeout>>()

  constructor(
    private readonly flush: Flush,
    private readonly intervalMs: (topic: Topic) => number = leastGapMs,
  ) {}

  add({ topic, id }: Change): void {
    if (this.timers.has(topic)) {
      const ids = this.waiting.get(topic) ?? new Set()
      this.waiting.set(topic, ids.add(id))
      return
    }
    this.flush(topic, new Set([id]))
    this.arm(topic)
  }

  stop(): void {
    for (const timer of this.timers.values()) clearTimeout(timer)
    this.timers.clear()
    this.waiting.clear()
  }

  private arm(topic: Topic): void {
    this.timers.set(
      topic,
      setTimeout(() => this.release(topic), this.intervalMs(topic)),
    )
  }

  private release(topic: Topic): void {
    this.timers.delete(topic)
    const ids = this.waiting.get(topic)
    if (!ids) return
    this.waiting.delete(topic)
    this.flush(topic, ids)
    this.arm(topic)
  }
}
