/** Tells the server that somebody is looking, so that the agent samples every 2 s. Lasts 30 s each. */

import { onScopeDispose } from 'vue'

import { api } from '@/api/client'

const EVERY_MS = 20_000

export function useWatch(machineId: () => string): void {
  function tell(): void {
    if (document.visibilityState !== 'visible') return
    // Best effort: without it the figures are only older, and the next call comes in 20 s.
    api
      .POST('/api/v1/machines/{machine_id}/watch', { params: { path: { machine_id: machineId() } } })
      .catch(() => undefined)
  }

  const timer = setInterval(tell, EVERY_MS)
  document.addEventListener('visibilitychange', tell)
  tell()
  onScopeDispose(() => {
    clearInterval(timer)
    document.removeEventListener('visibilitychange', tell)
  })
}
