/** Messages of a form by field: our own rules once the user tried to send it, and what the server said of each field. */

import { computed, reactive, ref, watch } from 'vue'
import { useI18n } from 'vue-i18n'

import type { ApiProblem, FieldProblem } from '@/api/problem'

import { useServerText } from './useServerText'
import { failuresOf, type FieldRules } from './validation'

export function useForm<Fields extends object>(initial: Fields, rules: FieldRules<Fields>) {
  const { t } = useI18n()
  const serverText = useServerText()
  const fields = reactive({ ...initial }) as Fields
  const tried = ref(false)
  const refused = ref<Record<string, string>>({})

  const failures = computed(() => failuresOf(fields, rules))
  const messages = computed<Record<string, string>>(() => {
    const own: Record<string, string> = { ...refused.value }
    if (!tried.value) return own
    for (const [field, failure] of Object.entries(failures.value) as [
      string,
      { key: string; params?: object },
    ][]) {
      own[field] = t(failure.key, { ...failure.params })
    }
    return own
  })

  watch(
    () => ({ ...fields }),
    () => (refused.value = {}),
  )

  /** True when everything may be sent; otherwise the messages are shown from now on. */
  function check(): boolean {
    tried.value = true
    return Object.keys(failures.value).length === 0
  }

  /**
   * Puts the server's words at the fields they belong to; answers whether all found a place. `say` words one of
   * them where the page knows better than "Expected: …".
   */
  function adopt(problem: ApiProblem | null, say: (error: FieldProblem) => string = sentence): boolean {
    const placed = (problem?.errors ?? []).filter(({ field }) => field in fields)
    const words: Record<string, string> = {}
    for (const error of placed) {
      const [before, next] = [words[error.field], say(error)]
      words[error.field] = before && next ? t('form.both', { before, next }) : before || next
    }
    refused.value = words
    return placed.length > 0 && placed.length === problem?.errors.length
  }

  /** What was typed stands in the field already; what was found in it (a private key, say) does not. */
  function sentence({ field, expected, found }: FieldProblem): string {
    if (!expected) return serverText(found) || t('form.refused')
    const words = { found: serverText(found), expected: serverText(expected) }
    const isPlain = !found || found === String(fields[field as keyof Fields])
    return isPlain ? t('form.expected', words) : t('form.found_expected', words)
  }

  function reset(): void {
    Object.assign(fields, initial)
    tried.value = false
    refused.value = {}
  }

  return { fields, messages, check, adopt, reset }
}
