import type { MachineState } from '@/api/model'
import type { Tone } from '@/ui/tone'

export const MACHINE_TONES: Record<MachineState, Tone> = {
  enrolling: 'busy',
  online: 'ok',
  allocated: 'busy',
  reclaiming: 'warn',
  maintenance: 'idle',
  quarantined: 'bad',
}

export const MACHINE_STATES = Object.keys(MACHINE_TONES) as MachineState[]
