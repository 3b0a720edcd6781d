/**
 * Terminal output as lines of styled text. Colours (SGR) are kept, everything else a terminal would act on is
 * dropped, and text stays text: the view renders it as text nodes, never as markup.
 */

export interface Span {
  text: string
  /** CSS classes `fg-0…15`, `bg-0…15`, `bold`, `dim`, `italic`, `underline`, `inverse`; '' for plain. */
  classes: string
  /** Colours beyond the sixteen: `rgb(…)`. */
  color?: string
  background?: string
}

export type Line = readonly Span[]

interface Style {
  fg: string
  bg: string
  color: string
  background: string
  flags: Set<string>
}

const ESC = '\u001b'
const FLAGS: Record<number, string> = { 1: 'bold', 2: 'dim', 3: 'italic', 4: 'underline', 7: 'inverse' }
const CLEARED: Record<number, readonly string[]> = {
  22: ['bold', 'dim'],
  23: ['italic'],
  24: ['underline'],
  27: ['inverse'],
}
/** CSI, OSC (ended by BEL or ST), or any other two-byte sequence. */
const SEQUENCE =
  // eslint-disable-next-line no-control-regex -- escape sequences are what this looks for
  /^\u001b(?:\[([0-9;:?<=>]*)[ -/]*([@-~])|\][^\u0007\u001b]*(?:\u0007|\u001b\\)|[ -/]*[0-Z\\^-~])/
// eslint-disable-next-line no-control-regex -- and these are what it drops
const CONTROLS = /[\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f]/g
const LONGEST_SEQUENCE = 4096

function plain(): Style {
  return { fg: '', bg: '', color: '', background: '', flags: new Set() }
}

export class AnsiLines {
  /** The line still being written. */
  current: Span[] = []
  private style = plain()
  private rest = ''
  private overwrite = false

  /** Takes a piece of output; returns the lines it completed. */
  push(text: string): Line[] {
    let input = this.rest + text
    this.rest = ''
    const lines: Line[] = []
    while (input) {
      const stop = input.search(/[\n\r\u001b]/) // eslint-disable-line no-control-regex
      if (stop !== 0) this.write(stop < 0 ? input : input.slice(0, stop))
      if (stop < 0) break
      const consumed = this.act(input.slice(stop), lines)
      if (consumed === 0) {
        this.rest = input.slice(stop)
        break
      }
      input = input.slice(stop + consumed)
    }
    return lines
  }

  /** Acts on a line end or an escape sequence; 0 when more input is needed to know what it is. */
  private act(input: string, lines: Line[]): number {
    if (input.startsWith('\n')) {
      lines.push(this.current)
      this.current = []
      this.overwrite = false
      return 1
    }
    if (input.startsWith('\r')) {
      if (input.length === 1) return 0
      if (input[1] !== '\n') this.overwrite = true
      return 1
    }
    const match = SEQUENCE.exec(input)
    if (!match) return input.length < LONGEST_SEQUENCE && !/^\u001b[^[\]]/.test(input) ? 0 : ESC.length // eslint-disable-line no-control-regex
    if (match[2] === 'm') this.restyle(match[1] ?? '')
    return match[0].length
  }

  private write(raw: string): void {
    const text = raw.replace(CONTROLS, '')
    if (!text) return
    if (this.overwrite) this.current = [] // a progress bar draws its line again
    this.overwrite = false
    const { fg, bg, color, background, flags } = this.style
    const classes = [fg, bg, ...flags].filter(Boolean).join(' ')
    const last = this.current.at(-1)
    if (last?.classes === classes && (last.color ?? '') === color && (last.background ?? '') === background) {
      this.current[this.current.length - 1] = { ...last, text: last.text + text }
    } else {
      this.current.push({ text, classes, ...(color && { color }), ...(background && { background }) })
    }
  }

  private restyle(parameters: string): void {
    const codes = parameters.split(/[;:]/).map(Number)
    for (let index = 0; index < codes.length; index += 1) {
      const code = codes[index] ?? 0
      if (code === 38 || code === 48) index += this.extended(code === 38, codes.slice(index + 1))
      else this.simple(code)
    }
  }

  private simple(code: number): void {
    const flag = FLAGS[code]
    if (code === 0) this.style = plain()
    else if (flag) this.style.flags.add(flag)
    else if (CLEARED[code]) for (const cleared of CLEARED[code]) this.style.flags.delete(cleared)
    else if (code >= 30 && code <= 37) this.foreground(`fg-${code - 30}`, '')
    else if (code >= 90 && code <= 97) this.foreground(`fg-${code - 82}`, '')
    else if (code >= 40 && code <= 47) this.backdrop(`bg-${code - 40}`, '')
    else if (code >= 100 && code <= 107) this.backdrop(`bg-${code - 92}`, '')
    else if (code === 39) this.foreground('', '')
    else if (code === 49) this.backdrop('', '')
  }

  /** `38;5;N` and `38;2;R;G;B`; answers how many codes it took. */
  private extended(isForeground: boolean, codes: readonly number[]): number {
    const set = isForeground ? this.foreground.bind(this) : this.backdrop.bind(this)
    const [mode, first = 0, green = 0, blue = 0] = codes
    if (mode === 2) {
      set('', rgb(first, green, blue))
      return 4
    }
    if (mode !== 5) return 1
    if (first < 16) set(`${isForeground ? 'fg' : 'bg'}-${first}`, '')
    else set('', paletteColour(first))
    return 2
  }

  private foreground(name: string, colour: string): void {
    this.style.fg = name
    this.style.color = colour
  }

  private backdrop(name: string, colour: string): void {
    this.style.bg = name
    this.style.background = colour
  }
}

function rgb(...channels: number[]): string {
  return `rgb(${channels.map((channel) => Math.min(255, Math.max(0, Math.trunc(channel) || 0))).join(', ')})`
}

/** Colours 16–255 of xterm: a 6×6×6 cube, then 24 greys. */
function paletteColour(index: number): string {
  if (index >= 232) {
    const grey = 8 + (index - 232) * 10
    return rgb(grey, grey, grey)
  }
  const cube = index - 16
  const level = (step: number): number => (step === 0 ? 0 : 55 + step * 40)
  return rgb(level(Math.floor(cube / 36)), level(Math.floor(cube / 6) % 6), level(cube % 6))
}
