/** Language and theme of this browser. Both follow the system until the user chooses. */

import { defineStore } from 'pinia'
import { computed, ref, watch } from 'vue'

import { browserLocale, isLocale, type Locale } from './i18n/locale'

export type ThemeChoice = 'system' | 'light' | 'dark'

const THEME_KEY = 'rg.theme' // public/theme.js reads it before the first paint
const LOCALE_KEY = 'rg.locale'

function remembered(key: string): string | null {
  try {
    return localStorage.getItem(key)
  } catch {
    return null // storage is blocked: preferences last as long as the page
  }
}

function remember(key: string, value: string): void {
  try {
    localStorage.setItem(key, value)
  } catch {
    // see above
  }
}

export const usePreferences = defineStore('preferences', () => {
  const storedTheme = remembered(THEME_KEY)
  const storedLocale = remembered(LOCALE_KEY)
  const theme = ref<ThemeChoice>(storedTheme === 'dark' || storedTheme === 'light' ? storedTheme : 'system')
  const locale = ref<Locale>(isLocale(storedLocale) ? storedLocale : browserLocale(navigator.languages))

  const media = window.matchMedia('(prefers-color-scheme: dark)')
  const systemIsDark = ref(media.matches)
  media.addEventListener('change', (change) => (systemIsDark.value = change.matches))
  const isDark = computed(() => theme.value === 'dark' || (theme.value === 'system' && systemIsDark.value))

  watch(isDark, (dark) => document.documentElement.classList.toggle('dark', dark), { immediate: true })
  watch(locale, (value) => (document.documentElement.lang = value), { immediate: true })

  function chooseTheme(choice: ThemeChoice): void {
    theme.value = choice
    remember(THEME_KEY, choice)
  }

  function chooseLocale(choice: Locale): void {
    locale.value = choice
    remember(LOCALE_KEY, choice)
  }

  return { theme, locale, isDark, chooseTheme, chooseLocale }
})
