/** The current time as a ref that ticks only while the page is visible. Epoch milliseconds. */

import { onScopeDispose, readonly, ref, type Ref } from 'vue'

export function useNow(intervalMs = 10_000): Readonly<Ref<number>> {
  const now = ref(Date.now())
  const timer = setInterval(() => {
    if (document.visibilityState === 'visible') now.value = Date.now()
  }, intervalMs)
  onScopeDispose(() => clearInterval(timer))
  return readonly(now)
}
