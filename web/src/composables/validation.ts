/** Rules of forms. A rule answers the key of a message, or null. The server checks everything again. */

export interface RuleFailure {
  key: string
  params?: Record<string, string | number>
}

export type Rule = (value: string) => RuleFailure | null

export const required: Rule = (value) => (value.trim() ? null : { key: 'form.required' })

export function maxLength(most: number): Rule {
  return (value) => (value.length <= most ? null : { key: 'form.too_long', params: { most } })
}

export const email: Rule = (value) =>
  /^[^\s@]+@[^\s@]+$/.test(value.trim()) ? null : { key: 'form.not_an_email' }

/** Company codes become part of Linux account names and URLs. */
export const companyCode: Rule = (value) =>
  /^[a-z][a-z0-9-]{0,22}[a-z0-9]$/.test(value) ? null : { key: 'form.not_a_code' }

/** A line of `~/.ssh/id_*.pub`. A private key pasted by mistake gets its own message and never leaves the page. */
export const sshPublicKey: Rule = (value) => {
  if (/PRIVATE KEY/.test(value)) return { key: 'form.private_key' }
  const type =
    '(?:ssh-(?:ed25519|rsa)|ecdsa-sha2-nistp\\d+|sk-(?:ssh-ed25519|ecdsa-sha2-nistp256)@openssh\\.com)'
  return new RegExp(`^${type} [A-Za-z0-9+/]{40,}={0,3}(?: .*)?$`).test(value.trim())
    ? null
    : { key: 'form.not_a_key' }
}

export function wholeNumber(least: number, most: number): Rule {
  return (value) => {
    const number = Number(value)
    const fits = value.trim() !== '' && Number.isInteger(number) && number >= least && number <= most
    return fits ? null : { key: 'form.not_in_range', params: { least, most } }
  }
}

export function firstFailure(value: string, rules: readonly Rule[]): RuleFailure | null {
  for (const rule of rules) {
    const failure = rule(value)
    if (failure) return failure
  }
  return null
}

export type FieldRules<Fields extends object> = Partial<Record<keyof Fields, readonly Rule[]>>

/** All failures at once, by field. */
export function failuresOf<Fields extends object>(
  fields: Fields,
  rules: FieldRules<Fields>,
): Partial<Record<keyof Fields, RuleFailure>> {
  const failures: Partial<Record<keyof Fields, RuleFailure>> = {}
  for (const field of Object.keys(rules) as (keyof Fields)[]) {
    const failure = firstFailure(String(fields[field] ?? ''), rules[field] ?? [])
    if (failure) failures[field] = failure
  }
  return failures
}
