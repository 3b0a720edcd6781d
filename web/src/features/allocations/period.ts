/** Lengths of a lease on offer, in days. */
export const PERIODS_DAYS = [1, 7, 30, 90] as const
export const DEFAULT_PERIOD_DAYS = 30

const DAY_MS = 86_400_000

/** `days` after `from`, on the whole minute, which is what the picker shows. */
export function daysAfter(from: Date, days: number): Date {
  const end = new Date(from.getTime() + days * DAY_MS)
  end.setSeconds(0, 0)
  return end
}

/** RFC 3339 in UTC without milliseconds. */
export function toWire(time: Date): string {
  return time.toISOString().replace(/\.\d{3}Z$/, 'Z')
}

export type PeriodFailure = 'end_missing' | 'end_before_start' | 'end_in_the_past'

export function periodFailure(start: Date | null, end: Date | null, now: Date): PeriodFailure | null {
  if (!end) return 'end_missing'
  if (start && end <= start) return 'end_before_start'
  if (end <= now) return 'end_in_the_past'
  return null
}
