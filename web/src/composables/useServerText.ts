/** Words for what the server and the agents wrote: problems, reasons, details. Unknown texts come back as they are. */

import { useI18n } from 'vue-i18n'

import { isLocale } from '@/app/i18n/locale'
import { translateServerText } from '@/app/i18n/phrases'

export function useServerText(): (text: string | null | undefined) => string {
  const { locale } = useI18n()
  return (text) => (text && isLocale(locale.value) ? translateServerText(text, locale.value) : (text ?? ''))
}
