/** Something a user starts: pending state, the problem it met, and a word when it worked. */

import { ElMessage } from 'element-plus'
import { ref, shallowRef } from 'vue'

import { asProblem, type ApiProblem } from '@/api/problem'

import { useServerText } from './useServerText'

interface Options {
  /** Shown when it worked. */
  success?: () => string
  /** Set where the page itself shows `problem`; otherwise it is shown as a message. */
  quiet?: boolean
}

export function useAction<Args extends unknown[], Result>(
  work: (...args: Args) => Promise<Result>,
  options: Options = {},
) {
  const showProblem = useShowProblem()
  const pending = ref(false)
  const problem = shallowRef<ApiProblem | null>(null)

  /** The result, or null when it failed or was already under way. */
  async function run(...args: Args): Promise<{ result: Result } | null> {
    if (pending.value) return null
    pending.value = true
    problem.value = null
    try {
      const result = await work(...args)
      if (options.success) ElMessage.success({ message: options.success(), grouping: true })
      return { result }
    } catch (error) {
      problem.value = asProblem(error)
      if (!options.quiet) showProblem(problem.value)
      return null
    } finally {
      pending.value = false
    }
  }

  return { run, pending, problem }
}

export function useShowProblem(): (problem: ApiProblem) => void {
  const serverText = useServerText()
  return (problem) => {
    const reference = problem.requestId ? ` (${problem.requestId})` : ''
    ElMessage.error({
      message: `${serverText(problem.message)}${reference}`,
      duration: 8_000,
      showClose: true,
      grouping: true,
    })
  }
}
