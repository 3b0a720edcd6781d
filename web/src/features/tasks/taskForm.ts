/** From what people type into the form to what the API takes. Pure. */

import type { TaskCreate, TaskKind } from '@/api/model'
import type { Rule } from '@/composables/validation'

export interface TaskFields {
  machine_id: string
  name: string
  kind: TaskKind
  command: string
  args: string
  env: string
  workdir: string
  timeout: string
  priority: number
  max_retries: number
  gpus: number
}

export const EMPTY_TASK: TaskFields = {
  machine_id: '',
  name: '',
  kind: 'shell',
  command: '',
  args: '',
  env: '',
  workdir: '',
  timeout: '24h',
  priority: 5,
  max_retries: 0,
  gpus: 0,
}

export const EXAMPLES: Record<TaskKind, string> = {
  shell: 'nvidia-smi && python train.py --epochs 10',
  python: "print('hello')",
  script: '#!/bin/bash\nset -euo pipefail\n',
}

const UNIT_SECONDS: Record<string, number> = { s: 1, m: 60, h: 3_600, d: 86_400 }

/** "1h 30m" → 5400. Null for anything that is not a sum of whole numbers with units s, m, h, d. */
export function parseDuration(text: string): number | null {
  const compact = text.replace(/\s+/g, '').toLowerCase()
  if (!/^(?:\d+[smhd])+$/.test(compact)) return null
  let seconds = 0
  for (const [, count, unit] of compact.matchAll(/(\d+)([smhd])/g))
    seconds += Number(count) * (UNIT_SECONDS[unit ?? ''] ?? 0)
  return seconds
}

const LONGEST_S = 30 * 86_400

export const duration: Rule = (value) => {
  const seconds = parseDuration(value)
  return seconds !== null && seconds >= 1 && seconds <= LONGEST_S ? null : { key: 'form.not_a_duration' }
}

/** Lines that are not empty, whole: a space may be part of an argument. */
export function parseLines(text: string): string[] {
  return text.split(/\r?\n/).filter((line) => line !== '')
}

/** `NAME=value` per line; a value may hold `=`. Answers null when a line is something else. */
export function parseEnvironment(text: string): Record<string, string> | null {
  const variables: Record<string, string> = {}
  for (const line of text.split(/\r?\n/)) {
    if (!line.trim()) continue
    const match = /^\s*([A-Za-z_][A-Za-z0-9_]*)=(.*)$/.exec(line)
    if (!match) return null
    variables[match[1] ?? ''] = match[2] ?? ''
  }
  return variables
}

export const environment: Rule = (value) =>
  parseEnvironment(value) ? null : { key: 'form.not_an_environment' }

/** A script names its interpreter itself, or the machine can not run it. */
export function scriptHasInterpreter(kind: TaskKind): Rule {
  return (value) => (kind !== 'script' || value.startsWith('#!') ? null : { key: 'form.no_interpreter' })
}

export function taskBody(fields: TaskFields): TaskCreate {
  const workdir = fields.workdir.trim()
  return {
    machine_id: fields.machine_id,
    name: fields.name.trim(),
    kind: fields.kind,
    command: fields.command.replace(/\r\n/g, '\n'),
    args: parseLines(fields.args),
    env: parseEnvironment(fields.env) ?? {},
    timeout_s: parseDuration(fields.timeout) ?? 0,
    priority: fields.priority,
    max_retries: fields.max_retries,
    gpus: fields.gpus,
    ...(workdir ? { workdir } : {}),
  }
}
