import { describe, expect, it } from 'vitest'

import { EventStreamParser, readEventStream, type ServerEvent } from '@/api/sse'

function parse(...pieces: string[]): ServerEvent[] {
  const parser = new EventStreamParser()
  return pieces.flatMap((piece) => parser.push(piece))
}

describe('the event stream parser', () => {
  it('reads events with name, data and id', () => {
    expect(parse('id: 7\nevent: change\ndata: {"topic":"tasks"}\n\n')).toEqual([
      { event: 'change', data: '{"topic":"tasks"}', id: '7' },
    ])
  })

  it('joins data lines, and calls an event without a name "message"', () => {
    expect(parse('data: one\ndata:two\ndata:  three\n\n')).toEqual([
      { event: 'message', data: 'one\ntwo\n three', id: '' },
    ])
  })

  it('drops comments and events without data, and forgets the name of those', () => {
    expect(parse(': keep-alive\n\n', 'event: lonely\n\n', 'data: x\n\n')).toEqual([
      { event: 'message', data: 'x', id: '' },
    ])
  })

  it.each(['\n', '\r\n', '\r'])('takes %j as a line end', (end) => {
    const stream = ['event: a', 'data: 1', '', 'data: 2', '', ': end', ''].join(end)
    expect(parse(stream).map(({ event, data }) => [event, data])).toEqual([
      ['a', '1'],
      ['message', '2'],
    ])
  })

  it('gives the same events however the stream is cut', () => {
    const stream = '\uFEFFevent: chunk\r\ndata: {"text":"日志 ✓"}\r\n\r\n: ping\r\ndata: b\r\n\r\n'
    const whole = parse(stream)
    expect(whole).toHaveLength(2)
    for (let cut = 1; cut < stream.length; cut += 1) {
      expect(parse(stream.slice(0, cut), stream.slice(cut)), `cut at ${cut}`).toEqual(whole)
    }
    expect(parse(...stream.split(''))).toEqual(whole)
  })

  it('keeps an unfinished event to itself', () => {
    expect(parse('data: half')).toEqual([])
  })
})

describe('reading a body', () => {
  it('decodes characters that are cut in the middle and reports signs of life', async () => {
    const bytes = new TextEncoder().encode('data: 训练\n\n')
    const body = new ReadableStream<Uint8Array>({
      start(controller) {
        for (const byte of bytes) controller.enqueue(Uint8Array.of(byte))
        controller.close()
      },
    })
    const events: ServerEvent[] = []
    let signs = 0
    await readEventStream(body, { onEvent: (event) => events.push(event), onActivity: () => (signs += 1) })
    expect(events.map(({ data }) => data)).toEqual(['训练'])
    expect(signs).toBe(bytes.length)
  })
})
