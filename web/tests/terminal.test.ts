// @vitest-environment jsdom

import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest'

import { ApiProblem } from '@/api/problem'
import {
  CLOSE_ACCESS_ENDED,
  CLOSE_NORMAL,
  CLOSE_REFUSED,
  CLOSE_TAKEN_OVER,
  CLOSE_UNREACHABLE,
  TerminalConnection,
  type Size,
  type Socket,
} from '@/features/terminal/connection'
import { canAddShell, loadShells, saveShells } from '@/features/terminal/shells'
import { WriteQueue } from '@/features/terminal/writeQueue'

class FakeSocket implements Socket {
  binaryType: BinaryType = 'blob'
  onmessage: ((event: MessageEvent) => void) | null = null
  onclose: ((event: CloseEvent) => void) | null = null
  sent: (string | Uint8Array)[] = []
  closedWith: number | undefined

  constructor(
    readonly ticket: string,
    readonly size: Size,
  ) {}

  send(data: string | Uint8Array): void {
    this.sent.push(data)
  }

  close(code?: number): void {
    this.closedWith = code
  }

  says(message: object): void {
    this.onmessage?.(new MessageEvent('message', { data: JSON.stringify(message) }))
  }

  outputs(text: string): void {
    // A copy in this realm's ArrayBuffer: jsdom has another one.
    const bytes = new TextEncoder().encode(text)
    const buffer = new ArrayBuffer(bytes.length)
    new Uint8Array(buffer).set(bytes)
    this.onmessage?.(new MessageEvent('message', { data: buffer }))
  }

  drops(code: number, reason = ''): void {
    this.onclose?.(new CloseEvent('close', { code, reason }))
  }
}

function start(requestTicket: () => Promise<string> = () => Promise.resolve('ticket')) {
  const sockets: FakeSocket[] = []
  const output: string[] = []
  const readied: number[] = []
  const connection = new TerminalConnection({
    requestTicket,
    openSocket: (ticket, size) => {
      const socket = new FakeSocket(ticket, size)
      sockets.push(socket)
      return socket
    },
    onState: () => undefined,
    onOutput: (bytes) => output.push(new TextDecoder().decode(bytes)),
    onReady: () => readied.push(sockets.length),
  })
  connection.connect()
  const socket = (): FakeSocket => sockets.at(-1) as FakeSocket
  return { connection, sockets, socket, output, readied }
}

const settle = () => vi.advanceTimersByTimeAsync(0)
const sendBytes = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0))

beforeEach(() => vi.useFakeTimers())
afterEach(() => vi.useRealTimers())

describe('a terminal connection', () => {
  it('gets a ticket, opens, tells its size, and passes bytes both ways', async () => {
    const { connection, socket, output } = start()
    connection.resize({ cols: 120, rows: 40 })
    await settle()
    expect(socket().ticket).toBe('ticket')
    expect(socket().size).toEqual({ cols: 120, rows: 40 })
    expect(connection.send(sendBytes('too early'))).toBe(false)
    socket().says({ type: 'ready', session_id: 's', shell: 'x' })
    expect(connection.state).toEqual({ kind: 'open', shell: 'new' })
    socket().outputs('$ ')
    expect(connection.send(sendBytes('ls\r'))).toBe(true)
    connection.resize(Object.assign({ cols: 80, rows: 24 }, { rowsChanged: true }))
    expect(output).toEqual(['$ '])
    expect(socket().sent).toEqual([
      '{"type":"resize","cols":120,"rows":40}',
      sendBytes('ls\r'),
      '{"type":"resize","cols":80,"rows":24}',
    ])
  })

  it.each([1001, 1006, 1011, 1012])('comes back to the same shell after close code %i', async (code) => {
    const { connection, sockets, socket, readied } = start()
    await settle()
    socket().says({ type: 'ready' })
    socket().drops(code)
    expect(connection.state).toMatchObject({ kind: 'waiting', attempt: 1, unreachable: false })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(sockets).toHaveLength(2)
    socket().says({ type: 'ready', resumed: true })
    expect(connection.state).toEqual({ kind: 'open', shell: 'same' })
    expect(readied).toEqual([1, 2])
  })

  it('says so when the shell it comes back to is another one', async () => {
    const { connection, socket } = start()
    await settle()
    socket().says({ type: 'ready' })
    socket().drops(1006)
    await vi.advanceTimersByTimeAsync(1_000)
    socket().says({ type: 'ready' })
    expect(connection.state).toEqual({ kind: 'open', shell: 'replaced' })
  })

  it('leaves the shell to the window that took it, until the user wants it back', async () => {
    const { connection, sockets, socket } = start()
    await settle()
    socket().says({ type: 'ready' })
    socket().drops(CLOSE_TAKEN_OVER, 'this shell was opened in another window')
    expect(connection.state).toMatchObject({ kind: 'ended', cause: 'taken_over' })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(sockets).toHaveLength(1)
    connection.connect()
    await settle()
    socket().says({ type: 'ready', resumed: true })
    expect(connection.state).toEqual({ kind: 'open', shell: 'same' })
  })

  it('waits longer each time, and starts short again after it was open', async () => {
    const { connection, sockets, socket } = start()
    const waits: number[] = []
    for (let attempt = 0; attempt < 8; attempt += 1) {
      await settle()
      socket().drops(1006)
      const { state } = connection
      if (state.kind !== 'waiting') throw new Error(`is ${state.kind}`)
      waits.push(state.retryAt - Date.now())
      await vi.advanceTimersByTimeAsync(state.retryAt - Date.now())
    }
    expect(sockets).toHaveLength(9)
    expect(waits[0]).toBeLessThanOrEqual(500)
    expect(waits[7]).toBeGreaterThanOrEqual(2_500)
    expect(Math.max(...waits)).toBeLessThanOrEqual(5_000)
    await settle()
    socket().says({ type: 'ready' })
    socket().drops(1006)
    expect(connection.state).toMatchObject({ kind: 'waiting', attempt: 1 })
  })

  it('says so when the machine does not answer, and goes on trying', async () => {
    const { connection, sockets, socket } = start()
    await settle()
    socket().drops(CLOSE_UNREACHABLE)
    expect(connection.state).toMatchObject({ kind: 'waiting', unreachable: true })
    await vi.advanceTimersByTimeAsync(1_000)
    expect(sockets).toHaveLength(2)
  })

  it.each([
    [CLOSE_ACCESS_ENDED, 'access_ended'],
    [CLOSE_REFUSED, 'refused'],
  ])('stops for good at close code %i and keeps the whole reason', async (code, cause) => {
    const { connection, sockets, socket } = start()
    await settle()
    socket().says({ type: 'ready' })
    socket().says({ type: 'closed', reason: 'the lease has ended' })
    socket().drops(code, 'the lease') // a close frame has room for 123 bytes only
    expect(connection.state).toEqual({ kind: 'ended', cause, reason: 'the lease has ended', exitCode: null })
    await vi.advanceTimersByTimeAsync(120_000)
    connection.hurry()
    await settle()
    expect(sockets).toHaveLength(1)
    expect(connection.send(sendBytes('x'))).toBe(false)
  })

  it('ends with the exit code of the shell, even if the socket ends badly after it', async () => {
    const { connection, sockets, socket } = start()
    await settle()
    socket().says({ type: 'ready' })
    socket().says({ type: 'exit', code: 3 })
    socket().drops(1006)
    expect(connection.state).toMatchObject({ kind: 'ended', cause: 'exit', exitCode: 3 })
    await vi.advanceTimersByTimeAsync(60_000)
    expect(sockets).toHaveLength(1)
  })

  it('ends when the server closes normally', async () => {
    const { connection, socket } = start()
    await settle()
    socket().drops(CLOSE_NORMAL, 'bye')
    expect(connection.state).toMatchObject({ kind: 'ended', cause: 'closed', reason: 'bye' })
  })

  it('ends when the ticket is refused, and retries when the server is in trouble', async () => {
    const problem = (status: number) =>
      new ApiProblem({ status, code: 'c', title: 't', detail: 'not leased to you' })
    const refused = start(() => Promise.reject(problem(404)))
    await settle()
    expect(refused.connection.state).toMatchObject({
      kind: 'ended',
      cause: 'refused',
      reason: 'not leased to you',
    })
    const troubled = start(() => Promise.reject(problem(503)))
    await settle()
    expect(troubled.connection.state).toMatchObject({ kind: 'waiting' })
    const unreachable = start(() => Promise.reject(new TypeError('failed to fetch')))
    await settle()
    expect(unreachable.connection.state).toMatchObject({ kind: 'waiting' })
  })

  it('tries at once when hurried, and only then', async () => {
    const { connection, sockets, socket } = start()
    await settle()
    socket().drops(1006)
    connection.hurry()
    await settle()
    expect(sockets).toHaveLength(2)
    connection.hurry()
    await settle()
    expect(sockets).toHaveLength(2)
  })

  it('closes the old socket when it connects again, and ignores what that still says', async () => {
    const { connection, sockets, socket, output } = start()
    await settle()
    const first = socket()
    first.says({ type: 'ready' })
    connection.connect()
    await settle()
    expect(first.closedWith).toBe(CLOSE_NORMAL)
    first.outputs('late')
    first.drops(1006)
    expect(output).toEqual([])
    expect(sockets).toHaveLength(2)
    expect(connection.state.kind).toBe('connecting')
  })

  it('opens nothing after it was disposed of while the ticket was on its way', async () => {
    let give: (ticket: string) => void = () => undefined
    const { connection, sockets } = start(() => new Promise((resolve) => (give = resolve)))
    connection.dispose()
    give('late')
    await settle()
    expect(sockets).toHaveLength(0)
  })
})

describe('the shells of a browser tab', () => {
  const id = '6f1c2a34-5b6d-4e8f-9a0b-1c2d3e4f5a6b'

  function store(content: Record<string, string> = {}) {
    return {
      getItem: (key: string) => content[key] ?? null,
      setItem: (key: string, value: string) => (content[key] = value),
    }
  }

  it('are the same after a reload, for each machine its own', () => {
    const memory = store()
    saveShells(memory, 'm1', [id])
    expect(loadShells(memory, 'm1', () => 'new')).toEqual([id])
    expect(loadShells(memory, 'm2', () => 'new')).toEqual(['new'])
  })

  it.each(['{', '"x"', '[1, "../etc"]', '[]', 'null'])('start fresh when the memory holds %s', (content) => {
    expect(loadShells(store({ 'rg.shells.m': content }), 'm', () => 'new')).toEqual(['new'])
  })

  it('are limited in number', () => {
    expect(canAddShell(Array.from({ length: 7 }, () => id))).toBe(true)
    expect(canAddShell(Array.from({ length: 8 }, () => id))).toBe(false)
  })
})

describe('the write queue', () => {
  it('gives no more than a megabyte at once, in order, and loses nothing', () => {
    const written: number[] = []
    const done: (() => void)[] = []
    const queue = new WriteQueue((chunk, finish) => {
      written.push(chunk[0] ?? -1)
      done.push(finish)
    })
    for (let index = 0; index < 10; index += 1) queue.push(new Uint8Array(400_000).fill(index))
    expect(written).toEqual([0, 1, 2])
    while (done.length) done.shift()?.()
    expect(written).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9])
  })
})
