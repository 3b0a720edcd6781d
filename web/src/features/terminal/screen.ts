/** xterm.js set up as we want it. */

import { FitAddon } from '@xterm/addon-fit'
import { Unicode11Addon } from '@xterm/addon-unicode11'
import { WebLinksAddon } from '@xterm/addon-web-links'
import { WebglAddon } from '@xterm/addon-webgl'
import { Terminal } from '@xterm/xterm'

import { copyText } from '@/composables/clipboard'

const THEME = {
  background: '#0f1319',
  foreground: '#d5dae3',
  cursor: '#d5dae3',
  selectionBackground: '#38517fb0',
  black: '#3b4252',
  red: '#f0717c',
  green: '#63c78d',
  yellow: '#dcae5c',
  blue: '#7ea2ff',
  magenta: '#c58bf0',
  cyan: '#56c2cf',
  white: '#d5dae3',
  brightBlack: '#6b7385',
  brightRed: '#ff929b',
  brightGreen: '#84e0aa',
  brightYellow: '#f2cb82',
  brightBlue: '#a3bdff',
  brightMagenta: '#dcb0fb',
  brightCyan: '#82dfe9',
  brightWhite: '#ffffff',
}

export interface Screen {
  terminal: Terminal
  fit: () => void
}

export function createScreen(element: HTMLElement): Screen {
  const terminal = new Terminal({
    allowProposedApi: true, // for the Unicode 11 widths
    cursorBlink: true,
    fontFamily: getComputedStyle(document.documentElement).getPropertyValue('--rg-mono'),
    fontSize: 13,
    lineHeight: 1.15,
    macOptionIsMeta: true,
    scrollback: 10_000,
    theme: THEME,
  })
  const fitting = new FitAddon()
  terminal.loadAddon(fitting)
  terminal.loadAddon(new Unicode11Addon())
  terminal.unicode.activeVersion = '11'
  terminal.loadAddon(new WebLinksAddon())
  terminal.attachCustomKeyEventHandler((event) => !copies(terminal, event))
  terminal.open(element)
  accelerate(terminal)
  return { terminal, fit: () => fitting.fit() }
}

/** Ctrl+Shift+C copies, and so does Ctrl+C while something is selected. Pasting is the browser's own. */
function copies(terminal: Terminal, event: KeyboardEvent): boolean {
  const isCopy = event.type === 'keydown' && event.ctrlKey && event.code === 'KeyC'
  if (!isCopy || !terminal.hasSelection()) return isCopy && event.shiftKey
  void copyText(terminal.getSelection())
  terminal.clearSelection()
  event.preventDefault()
  return true
}

/** Draws with the GPU where there is one. WebGL in software is slower than the DOM, which is the other way. */
function accelerate(terminal: Terminal): void {
  if (!hasGpu()) return
  const webgl = new WebglAddon()
  webgl.onContextLoss(() => webgl.dispose()) // falls back to the DOM
  try {
    terminal.loadAddon(webgl)
  } catch {
    webgl.dispose()
  }
}

function hasGpu(): boolean {
  const gl = document.createElement('canvas').getContext('webgl2')
  const info = gl?.getExtension('WEBGL_debug_renderer_info')
  const renderer: unknown = info ? gl?.getParameter(info.UNMASKED_RENDERER_WEBGL) : ''
  gl?.getExtension('WEBGL_lose_context')?.loseContext()
  return (
    gl !== null &&
    typeof renderer === 'string' &&
    !/swiftshader|llvmpipe|software|basic render/i.test(renderer)
  )
}
