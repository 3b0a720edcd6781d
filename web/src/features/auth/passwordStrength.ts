/**
 * A rough guess at a password's strength while it is typed. The server judges with zxcvbn, and only its word counts:
 * this says early what is sure to be refused.
 */

export const MIN_PASSWORD_LENGTH = 10

export type Strength = 0 | 1 | 2 | 3 | 4

const CLASSES = [
  { pattern: /[a-z]/, size: 26 },
  { pattern: /[A-Z]/, size: 26 },
  { pattern: /\d/, size: 10 },
  { pattern: /[^\p{L}\d]/u, size: 32 },
  { pattern: /[^\P{L}a-zA-Z]/u, size: 1000 }, // letters of other scripts
]

const COMMON =
  /password|passw0rd|qwerty|letmein|welcome|admin|remotegpu|iloveyou|123456|abc123|111111|asdf|zxcv/gi

/** Bits of a random string of that shape, after runs, sequences, common words and known words are taken out. */
export function estimatedBits(password: string, known: readonly string[] = []): number {
  const alphabet = CLASSES.reduce((sum, { pattern, size }) => sum + (pattern.test(password) ? size : 0), 0)
  if (alphabet === 0) return 0
  return effectiveLength(password, known) * Math.log2(alphabet)
}

function effectiveLength(password: string, known: readonly string[]): number {
  let rest = password.replace(COMMON, '*')
  for (const word of known) if (word.length >= 3) rest = rest.replaceAll(new RegExp(escaped(word), 'gi'), '*')
  let length = 0
  const characters = Array.from(rest)
  for (const [index, character] of characters.entries()) {
    const step =
      index === 0 ? 9 : (character.codePointAt(0) ?? 0) - (characters[index - 1]?.codePointAt(0) ?? 0)
    length += Math.abs(step) <= 1 ? 0.25 : 1
  }
  return length
}

function escaped(word: string): string {
  return word.replace(/[.*+?^${}()|[\]\\]/g, '\\$&')
}

const THRESHOLDS = [18, 34, 52, 72]

export function passwordStrength(password: string, known: readonly string[] = []): Strength {
  if (password.length < MIN_PASSWORD_LENGTH) return password ? 1 : 0
  const bits = estimatedBits(password, known)
  return THRESHOLDS.filter((threshold) => bits >= threshold).length as Strength
}
