/** What the trail is filtered by. */

export const RESOURCE_TYPES = [
  'user',
  'customer',
  'machine',
  'allocation',
  'task',
  'session',
  'join_token',
] as const

const HOUR_MS = 3_600_000
const SPANS_MS: Record<string, number> = {
  '1h': HOUR_MS,
  '24h': 24 * HOUR_MS,
  '7d': 168 * HOUR_MS,
  '30d': 720 * HOUR_MS,
}

export const SINCE_OPTIONS = Object.keys(SPANS_MS)

/** "24h" → the moment 24 hours before `now`, RFC 3339; null when there is no such span. */
export function sinceTime(span: unknown, now: number): string | null {
  const length = typeof span === 'string' ? SPANS_MS[span] : undefined
  return length === undefined ? null : new Date(now - length).toISOString()
}
