/** Which cached queries an event of the server makes stale. */

import type { QueryKey } from '@tanstack/vue-query'

export const TOPICS = [
  'machines',
  'allocations',
  'tasks',
  'sessions',
  'customers',
  'audit',
  'samples',
] as const
export type Topic = (typeof TOPICS)[number]

export interface Change {
  topic: Topic
  id: string
}

export function parseChange(data: string): Change | null {
  let value: unknown
  try {
    value = JSON.parse(data)
  } catch {
    return null
  }
  const facts = value as { topic?: unknown; id?: unknown } | null
  const topic = TOPICS.find((known) => known === facts?.topic)
  return topic ? { topic, id: typeof facts?.id === 'string' ? facts.id : '' } : null
}

/** Figures are worth a look once a second; everything else should be on screen as soon as it happened. */
export function leastGapMs(topic: Topic): number {
  return topic === 'samples' ? 1_000 : 500
}

const OVERVIEW_TOPICS: readonly Topic[] = ['machines', 'allocations', 'tasks', 'sessions']

/**
 * Keys are `[topic, 'list', …]`, `[topic, 'one', id]` or `[topic, 'history', id]`. A list is touched by any change
 * of its topic; one thing by its own change; a history grows from the live figures and is not fetched again.
 * `samples` are live figures of one machine: nobody asks for a list again because of them.
 */
export function isTouched(key: QueryKey, topic: Topic, ids: ReadonlySet<string>): boolean {
  if (key[0] === 'overview') return OVERVIEW_TOPICS.includes(topic)
  if (topic === 'samples') return key[0] === 'machines' && key[1] === 'one' && ids.has(String(key[2]))
  if (key[0] !== topic || key[1] === 'history') return false
  return key[1] !== 'one' || ids.has('') || ids.has(String(key[2]))
}
