/** Numbers with units and times for people. Pure: the locale and "now" come in as arguments. */

const BINARY_UNITS = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'] as const

export const NOTHING = '–'

function decimals(value: number): number {
  return value >= 100 ? 0 : 1
}

/** 1536 → "1.5 KiB". */
export function formatBytes(bytes: number | null | undefined): string {
  if (bytes == null || !Number.isFinite(bytes)) return NOTHING
  let value = Math.abs(bytes)
  let unit = 0
  while (value >= 1024 && unit < BINARY_UNITS.length - 1) {
    value /= 1024
    unit += 1
  }
  const digits = unit === 0 || Number.isInteger(value) ? 0 : decimals(value)
  return `${bytes < 0 ? '-' : ''}${value.toFixed(digits)} ${BINARY_UNITS[unit] ?? ''}`
}

/** 0.934 → "93 %". */
export function formatRatio(ratio: number | null | undefined): string {
  return ratio == null ? NOTHING : `${Math.round(ratio * 100)} %`
}

export function formatCelsius(degrees: number | null | undefined): string {
  return degrees == null ? NOTHING : `${Math.round(degrees)} °C`
}

export function formatWatts(watts: number | null | undefined): string {
  return watts == null ? NOTHING : `${Math.round(watts)} W`
}

export function formatMegahertz(hertz: number | null | undefined): string {
  return hertz == null ? NOTHING : `${Math.round(hertz / 1e6)} MHz`
}

/** 3725 → "1h 2m"; the two largest units that are not zero. Units as in `systemd.time`, the same in each language. */
export function formatDuration(seconds: number | null | undefined): string {
  if (seconds == null || !Number.isFinite(seconds)) return NOTHING
  if (seconds < 1) return `${Math.max(0, Math.round(seconds * 1000))}ms`
  if (seconds < 10) return `${seconds.toFixed(1)}s`
  let rest = Math.round(seconds)
  const parts: string[] = []
  for (const [unit, size] of [
    ['d', 86_400],
    ['h', 3_600],
    ['m', 60],
    ['s', 1],
  ] as const) {
    const count = Math.floor(rest / size)
    rest -= count * size
    if (count > 0) parts.push(`${count}${unit}`)
  }
  return parts.slice(0, 2).join(' ')
}

export function secondsBetween(
  from: string | null | undefined,
  to: string | number | null | undefined,
): number | null {
  if (!from || to == null) return null
  return (new Date(to).getTime() - new Date(from).getTime()) / 1000
}

/** Unit, its seconds, and from how many seconds on it is used: leases are counted in days for as long as one would. */
const RELATIVE_STEPS: readonly [Intl.RelativeTimeFormatUnit, number, number][] = [
  ['year', 31_536_000, 63_072_000],
  ['month', 2_629_800, 10_368_000],
  ['day', 86_400, 86_400],
  ['hour', 3_600, 3_600],
  ['minute', 60, 60],
  ['second', 1, 10],
]

/** "3 minutes ago", "in 30 days"; anything closer than ten seconds is "now". A lease of 30 days begins with "30 days". */
export function formatRelative(time: string, now: number, locale: string): string {
  const seconds = (new Date(time).getTime() - now) / 1000
  const words = new Intl.RelativeTimeFormat(locale, { numeric: 'auto', style: 'short' })
  for (const [unit, size, least] of RELATIVE_STEPS) {
    const count = seconds / size
    if (Math.abs(seconds) >= least)
      return words.format(size < 3_600 ? Math.trunc(count) : Math.round(count), unit)
  }
  return words.format(0, 'second')
}

/** "2026-11-24 06:30:00 UTC+1": unambiguous, in the reader's time zone. */
export function formatExact(time: string, locale: string): string {
  const zone = new Intl.DateTimeFormat(locale, { timeZoneName: 'shortOffset' })
    .formatToParts(new Date(time))
    .find((part) => part.type === 'timeZoneName')
  return `${formatDateTime(time, true)} ${zone?.value ?? ''}`.trim()
}

function two(value: number): string {
  return String(value).padStart(2, '0')
}

/** "2026-11-24 06:30" in the reader's time zone. */
export function formatDateTime(time: string | null | undefined, withSeconds = false): string {
  if (!time) return NOTHING
  const at = new Date(time)
  const day = `${at.getFullYear()}-${two(at.getMonth() + 1)}-${two(at.getDate())}`
  const clock = `${two(at.getHours())}:${two(at.getMinutes())}`
  return withSeconds ? `${day} ${clock}:${two(at.getSeconds())}` : `${day} ${clock}`
}

export function shortId(id: string): string {
  return id.slice(0, 8)
}

export function isUuid(id: string): boolean {
  return /^[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}$/.test(id)
}
