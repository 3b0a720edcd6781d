import { createI18n } from 'vue-i18n'

import { en } from './en'
import type { Locale } from './locale'
import { zhCN } from './zh-CN'

export function createTranslations(locale: Locale) {
  return createI18n({
    legacy: false,
    locale,
    fallbackLocale: 'en',
    messages: { en, 'zh-CN': zhCN },
    missingWarn: false,
    fallbackWarn: false,
  })
}
