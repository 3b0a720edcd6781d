import { describe, expect, it } from 'vitest'

import {
  formatBytes,
  formatCelsius,
  formatDuration,
  formatMegahertz,
  formatRatio,
  formatRelative,
  formatWatts,
  NOTHING,
  secondsBetween,
} from '@/composables/format'
import { randomId } from '@/composables/randomId'

describe('numbers with units', () => {
  it.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1 KiB'],
    [1536, '1.5 KiB'],
    [85_899_345_920, '80 GiB'],
    [123_456_789_012, '115 GiB'],
    [2 ** 60, '1024 PiB'],
    [-2048, '-2 KiB'],
    [null, NOTHING],
    [undefined, NOTHING],
    [Number.NaN, NOTHING],
  ])('%s bytes are %s', (bytes, words) => expect(formatBytes(bytes)).toBe(words))

  it('say so where a device does not report a value', () => {
    expect([formatRatio(null), formatCelsius(undefined), formatWatts(null), formatMegahertz(null)]).toEqual(
      Array(4).fill(NOTHING),
    )
  })

  it('are rounded for people', () => {
    expect(formatRatio(0.934)).toBe('93 %')
    expect(formatRatio(0)).toBe('0 %')
    expect(formatCelsius(41.6)).toBe('42 °C')
    expect(formatWatts(254.6)).toBe('255 W')
    expect(formatMegahertz(1_980_000_000)).toBe('1980 MHz')
  })
})

describe('durations', () => {
  it.each([
    [0.04, '40ms'],
    [2.54, '2.5s'],
    [59, '59s'],
    [60, '1m'],
    [3725, '1h 2m'],
    [86_400, '1d'],
    [90_061, '1d 1h'],
    [-3, '0ms'],
    [null, NOTHING],
  ])('%s seconds are %s', (seconds, words) => expect(formatDuration(seconds)).toBe(words))

  it('between two times need both', () => {
    expect(secondsBetween('2026-11-24T06:30:00Z', '2026-11-24T06:31:30Z')).toBe(90)
    expect(secondsBetween(null, '2026-11-24T06:31:30Z')).toBeNull()
    expect(secondsBetween('2026-11-24T06:30:00Z', null)).toBeNull()
  })
})

describe('relative times', () => {
  const now = Date.parse('2026-11-24T12:00:00Z')

  it.each([
    ['2026-11-24T11:59:55Z', 'now'],
    ['2026-11-24T11:57:00Z', '3 min. ago'],
    ['2026-11-24T10:00:00Z', '2 hr. ago'],
    ['2026-11-29T12:00:00Z', 'in 5 days'],
    ['2026-11-23T11:00:00Z', 'yesterday'],
    ['2026-12-24T11:59:00Z', 'in 30 days'],
    ['2027-02-22T12:00:00Z', 'in 90 days'],
    ['2027-05-24T12:00:00Z', 'in 6 mo.'],
    ['2029-11-24T12:00:00Z', 'in 3 yr.'],
  ])('%s is %s', (time, words) => expect(formatRelative(time, now, 'en')).toBe(words))

  it('speak Chinese', () => expect(formatRelative('2026-11-24T11:57:00Z', now, 'zh-CN')).toBe('3分钟前'))
})

describe('random ids', () => {
  it('are version 4 UUIDs, each another', () => {
    const ids = new Set(Array.from({ length: 200 }, randomId))
    expect(ids.size).toBe(200)
    for (const id of ids)
      expect(id).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}$/)
  })
})
