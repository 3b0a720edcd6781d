/** Exponential back-off with full jitter, so that a restarted server is not met by every browser at once. */

export interface BackoffLimits {
  firstMs: number
  longestMs: number
}

export function backoffMs(
  attempt: number,
  limits: BackoffLimits,
  random: () => number = Math.random,
): number {
  const ceiling = Math.min(limits.longestMs, limits.firstMs * 2 ** Math.min(attempt, 16))
  return Math.round(ceiling / 2 + (random() * ceiling) / 2)
}
