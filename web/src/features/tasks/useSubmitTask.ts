/** The submit form: its fields, the machines on offer, and sending it once however often it is pressed. */

import { computed, onMounted, ref, watch } from 'vue'
import { useI18n } from 'vue-i18n'
import { useRoute } from 'vue-router'

import { api, data } from '@/api/client'
import type { Task } from '@/api/model'
import { formatBytes } from '@/composables/format'
import { randomId } from '@/composables/randomId'
import { useAction, useShowProblem } from '@/composables/useAction'
import { useForm } from '@/composables/useForm'
import { maxLength, required, type RuleFailure } from '@/composables/validation'
import { asProblem } from '@/api/problem'
import { useMachineList } from '@/features/machines/queries'

import { fetchTask } from './queries'
import { duration, EMPTY_TASK, environment, scriptHasInterpreter, taskBody } from './taskForm'

export function useSubmitTask() {
  const { t } = useI18n()
  const showProblem = useShowProblem()
  const route = useRoute()
  const { fields, messages, check, adopt } = useForm(EMPTY_TASK, {
    machine_id: [required],
    name: [required, maxLength(100)],
    command: [required, interpreter],
    timeout: [duration],
    env: [environment],
  })
  const search = ref('')
  const machines = useMachineList(() => ({
    state: 'allocated',
    q: search.value,
    page_size: 20,
    sort: 'name',
  }))
  const options = computed(() =>
    (machines.data.value?.items ?? []).map((machine) => ({
      value: machine.id,
      label: machine.name,
      detail: machine.gpu_count
        ? `${machine.gpu_count} × ${machine.gpu_model} ${formatBytes(machine.gpu_memory_bytes)}`
        : t('machines.no_gpu'),
    })),
  )
  let idempotencyKey = randomId()

  function interpreter(value: string): RuleFailure | null {
    return scriptHasInterpreter(fields.kind)(value)
  }

  // The page of a machine names it; with a single machine there is nothing to choose.
  watch(
    options,
    (found) => {
      if (fields.machine_id) return
      const wanted = found.find(({ value }) => value === route.query.machine)
      const only = found.length === 1 && !search.value ? found[0] : undefined
      fields.machine_id = (wanted ?? only)?.value ?? ''
    },
    { immediate: true },
  )

  onMounted(async () => {
    if (typeof route.query.from === 'string') await copyFrom(route.query.from)
  })

  async function copyFrom(taskId: string): Promise<void> {
    try {
      const task = await fetchTask(taskId)
      Object.assign(fields, {
        machine_id: task.machine_id,
        name: task.name,
        kind: task.kind,
        command: task.command,
        args: task.args.join('\n'),
        env: task.env_keys.map((key) => `${key}=`).join('\n'),
        workdir: task.workdir ?? '',
        timeout: `${task.timeout_s}s`,
        priority: task.priority,
        max_retries: task.max_retries,
        gpus: task.gpus,
      })
    } catch (error) {
      showProblem(asProblem(error))
    }
  }

  const submission = useAction(
    () =>
      data(
        api.POST('/api/v1/tasks', { body: taskBody(fields), headers: { 'Idempotency-Key': idempotencyKey } }),
      ),
    { quiet: true },
  )

  /** The new task, or null when it was not accepted. */
  async function submit(): Promise<Task | null> {
    if (!check()) return null
    const done = await submission.run()
    if (done) return done.result
    // An answer, even a refusal, ends the key; without one the same key makes a second try safe.
    if (submission.problem.value?.status) idempotencyKey = randomId()
    if (adopt(submission.problem.value)) submission.problem.value = null
    return null
  }

  return {
    fields,
    messages,
    machines: { options, loading: machines.isPending },
    searchMachines: (q: string) => (search.value = q),
    submission,
    submit,
  }
}
