import { onScopeDispose, ref, shallowRef, triggerRef, watch } from 'vue'

import { LogFollower, type LogStatus } from './followLog'
import { LogBuffer } from './logBuffer'

/** The live log as a buffer that triggers at most once per frame, however fast the task writes. */
export function useTaskLog(taskId: () => string, attempt: () => number | null) {
  const buffer = shallowRef(new LogBuffer())
  const received = ref(0)
  const status = ref<LogStatus>({ kind: 'connecting' })
  let follower: LogFollower | null = null
  let frame = 0

  function scheduleRender(): void {
    frame ||= requestAnimationFrame(() => {
      frame = 0
      triggerRef(buffer)
    })
  }

  function restart(): void {
    received.value = 0
    buffer.value.clear()
    scheduleRender()
  }

  watch(
    [taskId, attempt],
    ([id, number]) => {
      follower?.stop()
      restart()
      follower = new LogFollower({
        taskId: id,
        attempt: number,
        onText: (text, bytes) => {
          received.value = bytes
          buffer.value.append(text)
          scheduleRender()
        },
        onRestart: restart,
        onStatus: (next) => (status.value = next),
      })
      void follower.run()
    },
    { immediate: true },
  )

  onScopeDispose(() => {
    follower?.stop()
    cancelAnimationFrame(frame)
  })

  return { buffer, received, status }
}
