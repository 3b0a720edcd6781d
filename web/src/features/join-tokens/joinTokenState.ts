import type { JoinToken } from '@/api/model'
import type { Tone } from '@/ui/tone'

export type JoinTokenState = 'usable' | 'used_up' | 'expired' | 'revoked'

export const JOIN_TOKEN_TONES: Record<JoinTokenState, Tone> = {
  usable: 'ok',
  used_up: 'idle',
  expired: 'idle',
  revoked: 'idle',
}

export function joinTokenState(token: JoinToken, now: number): JoinTokenState {
  if (token.revoked_at) return 'revoked'
  if (token.uses >= token.max_uses) return 'used_up'
  return new Date(token.expires_at).getTime() <= now ? 'expired' : 'usable'
}
