import type { Allocation, AllocationState } from '@/api/model'
import type { Tone } from '@/ui/tone'

export const ALLOCATION_TONES: Record<AllocationState, Tone> = {
  scheduled: 'busy',
  active: 'ok',
  expiring: 'warn',
  reclaiming: 'warn',
  ended: 'idle',
  cancelled: 'idle',
}

export const ALLOCATION_STATES = Object.keys(ALLOCATION_TONES) as AllocationState[]

export const STEP_TONES: Record<Allocation['steps'][number]['status'], Tone> = {
  pending: 'idle',
  running: 'busy',
  done: 'ok',
  failed: 'bad',
}

export function canEnd({ state }: Pick<Allocation, 'state'>): boolean {
  return state === 'active' || state === 'expiring'
}
