import { onScopeDispose, readonly, ref, type Ref } from 'vue'

/** Counts whole seconds down to zero by the clock, so that a sleeping tab does not lengthen the wait. */
export function useCountdown(): { secondsLeft: Readonly<Ref<number>>; start: (seconds: number) => void } {
  const secondsLeft = ref(0)
  let timer: ReturnType<typeof setInterval> | undefined

  function start(seconds: number): void {
    clearInterval(timer)
    const end = Date.now() + seconds * 1000
    const tick = (): void => {
      secondsLeft.value = Math.max(0, Math.ceil((end - Date.now()) / 1000))
      if (secondsLeft.value === 0) clearInterval(timer)
    }
    timer = setInterval(tick, 250)
    tick()
  }

  onScopeDispose(() => clearInterval(timer))
  return { secondsLeft: readonly(secondsLeft), start }
}
