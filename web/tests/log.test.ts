// @vitest-environment jsdom

import { describe, expect, it } from 'vitest'

import { AnsiLines, type Line } from '@/features/tasks/log/ansi'
import { LogFollower, type LogStatus } from '@/features/tasks/log/followLog'
import { LogBuffer, MAX_LINES } from '@/features/tasks/log/logBuffer'

const ESC = '\u001b'

function textOf(line: Line | undefined): string {
  return (line ?? []).map(({ text }) => text).join('')
}

function lines(...pieces: string[]): string[] {
  const parser = new AnsiLines()
  const done = pieces.flatMap((piece) => parser.push(piece))
  return [...done, parser.current].map(textOf)
}

describe('terminal output as lines', () => {
  it('keeps colours and drops everything else a terminal would act on', () => {
    const parser = new AnsiLines()
    const [line] = parser.push(
      `a${ESC}[1;32mgreen${ESC}[0m${ESC}[2K${ESC}]0;title\u0007b\u0007\u0000c${ESC}(Bd\n`,
    )
    expect(line).toEqual([
      { text: 'a', classes: '' },
      { text: 'green', classes: 'fg-2 bold' },
      { text: 'bcd', classes: '' },
    ])
  })

  it('knows 256 and true colours, bright ones, and taking them back', () => {
    const parser = new AnsiLines()
    const [line] = parser.push(
      `${ESC}[38;5;196mx${ESC}[48;2;1;2;3my${ESC}[39;49mz${ESC}[91;4mb${ESC}[24mc${ESC}[38;5;3md\n`,
    )
    expect(line).toEqual([
      { text: 'x', classes: '', color: 'rgb(255, 0, 0)' },
      { text: 'y', classes: '', color: 'rgb(255, 0, 0)', background: 'rgb(1, 2, 3)' },
      { text: 'z', classes: '' },
      { text: 'b', classes: 'fg-9 underline' },
      { text: 'c', classes: 'fg-9' },
      { text: 'd', classes: 'fg-3' },
    ])
  })

  it('lets a progress bar draw its line again', () => {
    expect(lines('10%\r20%\r', '100%\r\ndone\n')).toEqual(['100%', 'done', ''])
  })

  it('reads the same however the stream is cut', () => {
    const stream = `x${ESC}[31mred${ESC}[0m\r\n${ESC}]8;;http://a${ESC}\\link\n50%\r100%\n`
    const whole = lines(stream)
    expect(whole).toEqual(['xred', 'link', '100%', ''])
    for (let cut = 1; cut < stream.length; cut += 1) {
      expect(lines(stream.slice(0, cut), stream.slice(cut)), `cut at ${cut}`).toEqual(whole)
    }
  })

  it('is not stopped by a broken or endless sequence', () => {
    expect(lines(`${ESC}\u0001ok\n`)[0]).toContain('ok')
    expect(lines(`${ESC}]never ends ${'x'.repeat(5000)}\nnext\n`).at(-2)).toBe('next')
  })

  it('keeps markup as text', () => {
    expect(lines('<img src=x onerror=alert(1)>\n')[0]).toBe('<img src=x onerror=alert(1)>')
  })
})

describe('the log buffer', () => {
  it('shows the unfinished line too', () => {
    const buffer = new LogBuffer()
    buffer.append('one\ntwo')
    expect(buffer.length).toBe(2)
    expect(buffer.slice(0, 10).map(textOf)).toEqual(['one', 'two'])
    buffer.append('!\n')
    expect(buffer.slice(0, 10).map(textOf)).toEqual(['one', 'two!'])
    buffer.clear()
    expect(buffer.length).toBe(0)
  })

  it('keeps the newest lines and counts what it dropped', () => {
    const buffer = new LogBuffer()
    const total = MAX_LINES + 12_345
    for (let index = 0; index < total; index += 1) buffer.append(`${index}\n`)
    expect(buffer.length + buffer.dropped).toBe(total)
    expect(buffer.length).toBeLessThan(MAX_LINES + 5_000)
    expect(textOf(buffer.slice(buffer.length - 1, buffer.length)[0])).toBe(String(total - 1))
    expect(textOf(buffer.slice(0, 1)[0])).toBe(String(buffer.dropped))
  })
})

type Reply = Response | Error

function chunk(offset: number, text: string): string {
  const next_offset = offset + new TextEncoder().encode(text).length
  return `event: chunk\ndata: ${JSON.stringify({ offset, text, next_offset })}\n\n`
}

const END = 'event: end\ndata: {"state":"succeeded","exit_code":0,"truncated":true}\n\n'

async function follow(...replies: Reply[]) {
  const asked: string[] = []
  const statuses: LogStatus['kind'][] = []
  let text = ''
  const follower: LogFollower = new LogFollower({
    taskId: 't',
    attempt: null,
    fetch: (request) => {
      asked.push(new URL(request.url).search)
      const reply = replies.shift()
      if (!reply) follower.stop()
      return reply instanceof Response
        ? Promise.resolve(reply)
        : Promise.reject(reply ?? new Error('nothing left'))
    },
    sleep: () => Promise.resolve(),
    onText: (piece) => (text += piece),
    onRestart: () => (text = ''),
    onStatus: ({ kind }) => statuses.push(kind),
  })
  await follower.run()
  return { asked, statuses, text }
}

describe('following a log', () => {
  it('catches up from the byte it knows after each lost connection', async () => {
    const { asked, statuses, text } = await follow(
      new Response(chunk(0, '训练\n')),
      new TypeError('connection lost'),
      new Response('', { status: 503 }),
      new Response(chunk(7, 'done\n') + END),
    )
    expect(asked).toEqual(['?offset=0', '?offset=7', '?offset=7', '?offset=7'])
    expect(text).toBe('训练\ndone\n')
    expect(statuses).toEqual([
      'connecting',
      'live',
      'reconnecting',
      'reconnecting',
      'reconnecting',
      'live',
      'ended',
    ])
  })

  it('starts over when the task is tried another time', async () => {
    const { text } = await follow(new Response(chunk(0, 'first try\n') + chunk(0, 'second\n') + END))
    expect(text).toBe('second\n')
  })

  it('gives up when the server says no', async () => {
    const { asked, statuses } = await follow(
      Response.json({ code: 'not_found', title: 'Not found' }, { status: 404 }),
      new Response(END),
    )
    expect(asked).toHaveLength(1)
    expect(statuses.at(-1)).toBe('failed')
  })
})
