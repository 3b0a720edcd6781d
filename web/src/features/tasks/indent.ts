const INDENT = '    '

export interface Edited {
  text: string
  start: number
  end: number
}

/** What Tab and Shift+Tab do: a bare cursor gets four spaces, a selection is moved by whole lines. */
export function indentSelection(text: string, start: number, end: number, outdent: boolean): Edited {
  if (start === end && !outdent) {
    const at = start + INDENT.length
    return { text: text.slice(0, start) + INDENT + text.slice(end), start: at, end: at }
  }
  const from = text.lastIndexOf('\n', start - 1) + 1
  const lines = text.slice(from, end).split('\n')
  const moved = lines.map((line) => (outdent ? line.replace(/^(?: {1,4}|\t)/, '') : INDENT + line))
  const shiftOfFirst = (moved[0]?.length ?? 0) - (lines[0]?.length ?? 0)
  const block = moved.join('\n')
  return {
    text: text.slice(0, from) + block + text.slice(end),
    start: Math.max(from, start + shiftOfFirst),
    end: from + block.length,
  }
}
