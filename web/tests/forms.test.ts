import { describe, expect, it } from 'vitest'

import {
  companyCode,
  email,
  failuresOf,
  maxLength,
  required,
  sshPublicKey,
  wholeNumber,
} from '@/composables/validation'
import { daysAfter, periodFailure, toWire } from '@/features/allocations/period'
import { estimatedBits, passwordStrength } from '@/features/auth/passwordStrength'
import { commentOf } from '@/features/ssh-keys/publicKey'
import { indentSelection } from '@/features/tasks/indent'
import {
  duration,
  EMPTY_TASK,
  parseDuration,
  parseEnvironment,
  parseLines,
  scriptHasInterpreter,
  taskBody,
} from '@/features/tasks/taskForm'

describe('rules', () => {
  it('need a value where one is needed', () => {
    expect(required('  ')).toEqual({ key: 'form.required' })
    expect(required(' x')).toBeNull()
  })

  it.each([
    ['acme', true],
    ['a1', true],
    ['acme-labs-2', true],
    ['a', false],
    ['Acme', false],
    ['1acme', false],
    ['acme-', false],
    ['../etc', false],
    ['a'.repeat(25), false],
  ])('company code %s: %s', (code, fits) => expect(companyCode(code) === null).toBe(fits))

  it.each([
    ['a@b.example', true],
    [' a@b.example ', true],
    ['a@b@c', false],
    ['a b@c', false],
    ['a', false],
  ])('e-mail %j: %s', (address, fits) => expect(email(address) === null).toBe(fits))

  const key = `ssh-ed25519 ${'A'.repeat(68)}`
  it.each([
    [`${key} ada@laptop`, null],
    [`  ${key}\n`, null],
    [`sk-ssh-ed25519@openssh.com ${'A'.repeat(80)}`, null],
    ['ssh-ed25519', 'form.not_a_key'],
    ['ssh-dss AAAAB3NzaC1kc3MAAACBAKiller000000000000000000000000', 'form.not_a_key'],
    [`${key}\n${key}`, 'form.not_a_key'],
    ['-----BEGIN OPENSSH PRIVATE KEY-----', 'form.private_key'],
  ])('public key %j', (line, failure) => expect(sshPublicKey(line)?.key ?? null).toBe(failure))

  it('bound lengths and numbers and say by what', () => {
    expect(maxLength(3)('abcd')).toEqual({ key: 'form.too_long', params: { most: 3 } })
    expect(wholeNumber(1, 10)('11')).toEqual({ key: 'form.not_in_range', params: { least: 1, most: 10 } })
    expect(['', '1.5', 'x', '0'].map((value) => wholeNumber(1, 10)(value) === null)).toEqual(
      Array(4).fill(false),
    )
    expect(wholeNumber(1, 10)('10')).toBeNull()
  })

  it('are all checked at once, the first failure of each field', () => {
    const rules = { email: [required, email], name: [required], note: [] }
    expect(failuresOf({ email: 'x', name: '', note: '' }, rules)).toEqual({
      email: { key: 'form.not_an_email' },
      name: { key: 'form.required' },
    })
  })
})

describe('the task form', () => {
  it.each([
    ['90s', 90],
    ['30m', 1_800],
    ['1d 12h', 129_600],
    ['2H30M', 9_000],
    ['10', null],
    ['', null],
    ['1.5h', null],
    ['-1h', null],
    ['1h x', null],
  ])('reads %j as %s seconds', (text, seconds) => expect(parseDuration(text)).toBe(seconds))

  it('refuses a limit of nothing or of more than 30 days', () => {
    expect(['0s', '31d'].map((value) => duration(value)?.key)).toEqual(Array(2).fill('form.not_a_duration'))
    expect(duration('30d')).toBeNull()
  })

  it('reads variables; values may hold anything but a line end', () => {
    expect(parseEnvironment('A=1\n\n B_2 =x')).toBeNull()
    expect(parseEnvironment('A=1\r\nB_2=x=y z\nEMPTY=\n')).toEqual({ A: '1', B_2: 'x=y z', EMPTY: '' })
    expect(parseEnvironment('2A=1')).toBeNull()
    expect(parseEnvironment('')).toEqual({})
  })

  it('keeps spaces inside of arguments', () => {
    expect(parseLines('--name\nfirst run\n\n  x ')).toEqual(['--name', 'first run', '  x '])
  })

  it('wants an interpreter in scripts only', () => {
    expect(scriptHasInterpreter('script')('echo x')).toEqual({ key: 'form.no_interpreter' })
    expect(scriptHasInterpreter('script')('#!/bin/sh\necho x')).toBeNull()
    expect(scriptHasInterpreter('shell')('echo x')).toBeNull()
  })

  it('becomes what the API takes', () => {
    const fields = {
      ...EMPTY_TASK,
      machine_id: 'm',
      name: ' train ',
      command: 'a\r\nb',
      env: 'A=1',
      timeout: '1h',
    }
    expect(taskBody(fields)).toEqual({
      machine_id: 'm',
      name: 'train',
      kind: 'shell',
      command: 'a\nb',
      args: [],
      env: { A: '1' },
      timeout_s: 3_600,
      priority: 5,
      max_retries: 0,
      gpus: 0,
    })
    expect(taskBody({ ...fields, workdir: ' /data ' }).workdir).toBe('/data')
  })
})

describe('the code editor', () => {
  it('indents at the cursor, and whole lines of a selection', () => {
    expect(indentSelection('ab', 1, 1, false)).toEqual({ text: 'a    b', start: 5, end: 5 })
    expect(indentSelection('a\nb\nc', 0, 3, false)).toEqual({ text: '    a\n    b\nc', start: 4, end: 11 })
  })

  it('takes back up to four spaces or a tab of each line', () => {
    expect(indentSelection('      a\n\tb\nc', 0, 11, true).text).toBe('  a\nb\nc')
    expect(indentSelection('  a', 3, 3, true)).toEqual({ text: 'a', start: 1, end: 1 })
  })
})

describe('the period of a lease', () => {
  const now = new Date('2026-11-24T06:30:42.123Z')

  it('ends whole days later on the minute', () => {
    expect(toWire(daysAfter(now, 30))).toBe('2026-12-24T06:30:00Z')
  })

  it('needs an end after its start and after now', () => {
    const later = daysAfter(now, 1)
    expect(periodFailure(null, null, now)).toBe('end_missing')
    expect(periodFailure(null, new Date(0), now)).toBe('end_in_the_past')
    expect(periodFailure(daysAfter(now, 2), later, now)).toBe('end_before_start')
    expect(periodFailure(null, later, now)).toBeNull()
  })
})

describe('the password hint', () => {
  it('does not call short, common, repeated or own words strong', () => {
    for (const weak of ['Ab1!', 'password123', 'aaaaaaaaaaaaaaaa', '1234567890123', 'qwertyqwerty1']) {
      expect(passwordStrength(weak), weak).toBeLessThan(3)
    }
    expect(passwordStrength('ada.lovelace1', ['ada', 'lovelace'])).toBeLessThan(3)
    expect(passwordStrength('')).toBe(0)
  })

  it('likes several words, random characters and other scripts', () => {
    for (const strong of ['correct horse battery', 'vT7#kq2Lw9zP', '月亮照在老旧的机房上面']) {
      expect(passwordStrength(strong), strong).toBeGreaterThanOrEqual(3)
    }
    expect(estimatedBits('vT7#kq2Lw9zP')).toBeGreaterThan(60)
  })
})

describe('the name of a key', () => {
  it('is its comment', () => {
    expect(commentOf('ssh-ed25519 AAAA ada at home')).toBe('ada at home')
    expect(commentOf('ssh-ed25519 AAAA')).toBe('')
    expect(commentOf('-----BEGIN OPENSSH PRIVATE KEY-----')).toBe('')
  })
})
