/** Figures of several GPUs as one. Null where no device reports the value. */

import type { GpuSample, HostSample } from '@/api/model'

function known(values: readonly (number | null | undefined)[]): number[] {
  return values.filter((value): value is number => value != null)
}

function mean(values: readonly (number | null | undefined)[]): number | null {
  const present = known(values)
  return present.length ? present.reduce((sum, value) => sum + value, 0) / present.length : null
}

export function meanUtilization(gpus: readonly GpuSample[] | undefined): number | null {
  return mean((gpus ?? []).map((gpu) => gpu.utilization_ratio))
}

export function hottest(gpus: readonly GpuSample[] | undefined): number | null {
  const present = known((gpus ?? []).map((gpu) => gpu.temperature_celsius))
  return present.length ? Math.max(...present) : null
}

export function memoryRatio(gpu: GpuSample): number | null {
  const { memory_used_bytes: used, memory_total_bytes: total } = gpu
  return used != null && total ? used / total : null
}

export interface HistoryPoint {
  at: number
  ratio: number | null
}

type Reading = (sample: HostSample) => number | null

/**
 * A line through the samples, oldest first and each once, with a gap where the machine was silent for longer than
 * `gapMs`. `live` is the newest sample, which the history fetched earlier does not have yet.
 */
export function historyLine(
  samples: readonly HostSample[],
  reading: Reading,
  gapMs = 90_000,
): HistoryPoint[] {
  const points: HistoryPoint[] = []
  for (const sample of samples) {
    const at = sample.taken_at * 1000
    const last = points.at(-1)
    if (last && at - last.at > gapMs) points.push({ at: last.at + 1, ratio: null })
    points.push({ at, ratio: reading(sample) })
  }
  return points
}

/** Appends a sample unless it is already the last; keeps one hour. */
export function withSample(
  samples: readonly HostSample[],
  sample: HostSample | null | undefined,
): HostSample[] {
  const newest = samples.at(-1)
  const all = sample && (!newest || sample.taken_at > newest.taken_at) ? [...samples, sample] : [...samples]
  const horizon = (all.at(-1)?.taken_at ?? 0) - 3_600
  return all.filter(({ taken_at }) => taken_at >= horizon)
}
