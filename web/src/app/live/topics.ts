/** Which cached queries an event of the server makes stale. */

import type { QueryKey } from '@tanstack/vue-query'

export const TOPICS = ['machines', 'allocations', 'tasks', 'sessions', 'customers', 'audit'] as const
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

const OVERVIEW_TOPICS: readonly Topic[] = ['machines', 'allocations', 'tasks', 'sessions']

/**
 * Keys are `[topic, 'list', …]`, `[topic, 'one', id]` or `[topic, 'history', id]`. A list is touched by any change
 * of its topic; one thing by its own change; a history grows from the live figures and is not fetched again.
 */
export function isTouched(key: QueryKey, topic: Topic, ids: ReadonlySet<string>): boolean {
  if (key[0] === 'overview') return OVERVIEW_TOPICS.includes(topic)
  if (key[0] !== topic || key[1] === 'history') return false
  return key[1] !== 'one' || ids.has('') || ids.has(String(key[2]))
}
