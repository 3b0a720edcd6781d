import type { TaskState } from '@/api/model'
import type { Tone } from '@/ui/tone'

export const TASK_TONES: Record<TaskState, Tone> = {
  queued: 'idle',
  assigned: 'busy',
  running: 'busy',
  succeeded: 'ok',
  failed: 'bad',
  timed_out: 'bad',
  stopped: 'warn',
  cancelled: 'idle',
}

export const TASK_STATES = Object.keys(TASK_TONES) as TaskState[]

const OPEN: readonly TaskState[] = ['queued', 'assigned', 'running']

export function isOpen(state: TaskState): boolean {
  return OPEN.includes(state)
}
