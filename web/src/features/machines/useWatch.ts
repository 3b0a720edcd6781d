/** Tells the server that somebody is looking, so that the agent samples every 2 s. Lasts 30 s each. */

import { onScopeDispose, watch } from 'vue'

import { api } from '@/api/client'

const EVERY_MS = 20_000

/** `isShown`: the machine is on screen, rather than a message that there is none. */
export function useWatch(machineId: () => string, isShown: () => boolean): void {
  function tell(): void {
    if (document.visibilityState !== 'visible' || !isShown()) return
    // Best effort: without it the figures are only older, and the next call comes in 20 s.
    api
      .POST('/api/v1/machines/{machine_id}/watch', { params: { path: { machine_id: machineId() } } })
      .catch(() => undefined)
  }

  const timer = setInterval(tell, EVERY_MS)
  document.addEventListener('visibilitychange', tell)
  watch(isShown, tell, { immediate: true })
  onScopeDispose(() => {
    clearInterval(timer)
    document.removeEventListener('visibilitychange', tell)
  })
}
