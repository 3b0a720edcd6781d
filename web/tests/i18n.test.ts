import { describe, expect, it } from 'vitest'

import { createTranslations } from '@/app/i18n'
import { en } from '@/app/i18n/en'
import { browserLocale } from '@/app/i18n/locale'
import { zhCN } from '@/app/i18n/zh-CN'

type Tree = { [key: string]: string | Tree }

function flatten(tree: Tree, prefix = ''): Map<string, string> {
  const flat = new Map<string, string>()
  for (const [key, value] of Object.entries(tree)) {
    if (typeof value === 'string') flat.set(prefix + key, value)
    else for (const [inner, text] of flatten(value, `${prefix}${key}.`)) flat.set(inner, text)
  }
  return flat
}

function placeholders(text: string): string[] {
  return [...new Set(text.match(/\{\w+\}/g))].sort()
}

/** The text of all pages and modules but the messages themselves. */
const sources = Object.entries(
  import.meta.glob<string>('../src/**/*.{vue,ts}', { query: '?raw', import: 'default', eager: true }),
)
  .filter(([path]) => !path.includes('/i18n/'))
  .map(([, text]) => text)

const english = flatten(en)
const chinese = flatten(zhCN)

describe('messages', () => {
  it('are the same set in both languages, none of them empty', () => {
    expect([...chinese.keys()].sort()).toEqual([...english.keys()].sort())
    for (const [key, text] of [...english, ...chinese]) expect(text.trim(), key).not.toBe('')
  })

  it('take the same values in both languages', () => {
    for (const [key, text] of english)
      expect(placeholders(chinese.get(key) ?? ''), key).toEqual(placeholders(text))
  })

  it('compile and can be shown in both languages', () => {
    for (const locale of ['en', 'zh-CN'] as const) {
      const { t } = createTranslations(locale).global
      for (const key of english.keys()) expect(t(key, { count: 2, name: 'x' }, 2), key).not.toBe(key)
    }
  })

  it('exist for each key that the pages use', () => {
    const used = new Set<string>()
    for (const source of sources) {
      for (const [, key] of source.matchAll(/\bt\(\s*'([\w-]+\.[\w.-]+)'/g)) used.add(key ?? '')
      for (const [, key] of source.matchAll(/key: '([a-z_]+\.[a-z_]+)'/g)) used.add(key ?? '')
    }
    expect(used.size).toBeGreaterThan(200)
    expect([...used].filter((key) => !english.has(key))).toEqual([])
  })

  it('are each used by some page', () => {
    const all = sources.join('\n')
    const unused = [...english.keys()].filter((key) => {
      const group = key.slice(0, key.lastIndexOf('.'))
      const isDynamic = new RegExp(`['"\`]${group}\\.[\\w]*\\$\\{`).test(all)
      return !all.includes(key) && !isDynamic
    })
    expect(unused).toEqual([])
  })
})

describe('the first language', () => {
  it('is the first of the browser that we speak', () => {
    expect(browserLocale(['zh-TW', 'en'])).toBe('zh-CN')
    expect(browserLocale(['de-DE', 'en-GB', 'zh'])).toBe('en')
    expect(browserLocale(['fr'])).toBe('en')
    expect(browserLocale([])).toBe('en')
  })
})
