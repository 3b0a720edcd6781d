import type { SessionState } from '@/api/model'
import type { Tone } from '@/ui/tone'

export const SESSION_TONES: Record<SessionState, Tone> = {
  connecting: 'busy',
  active: 'ok',
  closed: 'idle',
  terminated: 'warn',
  lost: 'bad',
}

export const SESSION_STATES = Object.keys(SESSION_TONES) as SessionState[]
