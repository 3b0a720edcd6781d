/**
 * What the server and the agents say, in the language of the reader.
 *
 * They write English sentences with names, numbers and times in them; `phrases.zh-CN.json` has a pattern for each. A
 * pattern holds for a whole text or for one part of it (`a; b`). In its translation `{1}` is the first group as it is,
 * `{1:text}` a text or state of its own, `{1:list}` several of those with commas between. Whatever has no pattern
 * stays as it is: people write reasons too.
 */

import type { Locale } from './locale'
import table from './phrases.zh-CN.json'
import { zhCN } from './zh-CN'

const phrases = table.phrases.map(({ pattern, text }) => ({
  pattern: new RegExp(`^(?:${pattern})$`, 's'),
  text,
}))

/** Single words mean something only inside a sentence: a reason that is one word is somebody's own. */
const words = new Map<string, string>(
  Object.entries({
    ...table.words,
    ...zhCN.role,
    ...zhCN.task_state,
    ...zhCN.allocation_state,
    ...zhCN.machine_state,
  }),
)

const SLOT = /\{(\d)(?::(text|list))?\}/g
/** Between two parts: the semicolon goes, the full stop belongs to its sentence. */
const SEAM = /[;.] /g
/** No sentence of ours has more seams inside, and somebody's long text must not be searched for every span of it. */
const MOST_SEAMS = 3

export function translateServerText(text: string, locale: Locale): string {
  return locale === 'zh-CN' ? byParts(text) : text
}

function byParts(text: string): string {
  const whole = byPhrase(text)
  if (whole !== null) return whole
  const seams = seamsOf(text)
  for (const { end, next } of seams.slice(0, MOST_SEAMS).reverse()) {
    const head = byPhrase(text.slice(0, end))
    if (head !== null) return joined(head, byParts(text.slice(next)))
  }
  const first = seams[0]
  if (!first) return text
  const rest = text.slice(first.next)
  const translated = byParts(rest)
  return translated === rest ? text : joined(text.slice(0, first.end), translated)
}

function seamsOf(text: string): { end: number; next: number }[] {
  return [...text.matchAll(SEAM)].map(({ 0: seam, index }) => ({
    end: seam.startsWith('.') ? index + 1 : index,
    next: index + seam.length,
  }))
}

function byPhrase(text: string): string | null {
  for (const { pattern, text: translation } of phrases) {
    const found = pattern.exec(text)
    if (found) return filled(translation, found)
  }
  return null
}

function filled(translation: string, found: RegExpExecArray): string {
  return translation.replace(SLOT, (_, number: string, kind?: string) => {
    const group = found[Number(number)] ?? ''
    if (kind === 'list') return group.split(', ').map(inner).join('、')
    return kind === 'text' ? inner(group) : group
  })
}

function inner(text: string): string {
  return words.get(text) ?? byParts(text)
}

function joined(head: string, rest: string): string {
  if (head.endsWith('.')) return `${head} ${rest}`
  return head.endsWith('。') ? head + rest : `${head}；${rest}`
}
