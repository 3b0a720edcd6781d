/**
 * The life of a browser terminal's connection: ticket, socket, back-off, and the same shell again after each loss.
 *
 * connecting → open → waiting → connecting → …; any of them → ended, which only the user leaves. The shell's id is
 * ours, so that a reload or a restarted server finds the same shell; the server replays its last output.
 */

import { backoffMs } from '@/api/backoff'
import { asProblem } from '@/api/problem'

/** `remotegpu.protocol.streams`: close codes that mean something of their own. */
export const CLOSE_NORMAL = 1000
export const CLOSE_ACCESS_ENDED = 4001
export const CLOSE_UNREACHABLE = 4002
export const CLOSE_REFUSED = 4003
export const CLOSE_TAKEN_OVER = 4004

/** `taken_over`: by another window; the two must not take the shell from each other for ever. */
export type EndCause = 'exit' | 'access_ended' | 'refused' | 'taken_over' | 'closed'
/** `replaced`: the shell that was here is gone, and this is another one under its name. */
export type ShellOrigin = 'new' | 'same' | 'replaced'

export type TerminalState =
  | { kind: 'connecting'; attempt: number }
  | { kind: 'open'; shell: ShellOrigin }
  | { kind: 'waiting'; attempt: number; retryAt: number; unreachable: boolean }
  | { kind: 'ended'; cause: EndCause; reason: string; exitCode: number | null }

/** The part of `WebSocket` in use, so that tests can stand in for it. */
export interface Socket {
  binaryType: BinaryType
  onmessage: ((event: MessageEvent) => void) | null
  onclose: ((event: CloseEvent) => void) | null
  send: (data: string | Uint8Array<ArrayBuffer>) => void
  close: (code?: number, reason?: string) => void
}

export interface Size {
  cols: number
  rows: number
}

interface Options {
  requestTicket: () => Promise<string>
  openSocket: (ticket: string, size: Size) => Socket
  onState: (state: TerminalState) => void
  onOutput: (bytes: Uint8Array) => void
  /** The shell is attached; what it replays comes next. */
  onReady: () => void
  now?: () => number
}

/** Short, because somebody is sitting in front of it. */
const BACKOFF = { firstMs: 500, longestMs: 5_000 }
/** Refusals that another try will not change. */
const FINAL_STATUS = [400, 401, 403, 404, 409, 410, 422]

export class TerminalConnection {
  private socket: Socket | null = null
  private timer: ReturnType<typeof setTimeout> | undefined
  private failures = 0
  private wasReady = false
  private size: Size = { cols: 80, rows: 24 }
  private said = { reason: '', exitCode: null as number | null }
  private stateNow: TerminalState = { kind: 'connecting', attempt: 0 }
  /** Grows with each connection, so that what a replaced one still says is ignored. */
  private generation = 0

  constructor(private readonly options: Options) {}

  get state(): TerminalState {
    return this.stateNow
  }

  connect(): void {
    this.abandon()
    const generation = this.generation
    this.said = { reason: '', exitCode: null }
    this.enter({ kind: 'connecting', attempt: this.failures })
    this.options.requestTicket().then(
      (ticket) => {
        if (generation === this.generation) this.open(ticket)
      },
      (error: unknown) => {
        if (generation === this.generation) this.ticketRefused(error)
      },
    )
  }

  /** Tries at once where it would wait; nothing otherwise. */
  hurry(): void {
    if (this.stateNow.kind === 'waiting') this.connect()
  }

  send(bytes: Uint8Array<ArrayBuffer>): boolean {
    if (this.stateNow.kind !== 'open') return false
    this.socket?.send(bytes)
    return true
  }

  /** Takes no more than the two: the terminal's own event carries other things besides. */
  resize({ cols, rows }: Size): void {
    this.size = { cols, rows }
    if (this.stateNow.kind === 'open') this.socket?.send(JSON.stringify({ type: 'resize', cols, rows }))
  }

  dispose(): void {
    this.abandon()
  }

  private abandon(): void {
    clearTimeout(this.timer)
    this.generation += 1
    const old = this.socket
    this.socket = null
    if (!old) return
    old.onmessage = null
    old.onclose = null
    old.close(CLOSE_NORMAL, 'left')
  }

  private open(ticket: string): void {
    const socket = this.options.openSocket(ticket, this.size)
    socket.binaryType = 'arraybuffer'
    socket.onmessage = ({ data }: MessageEvent<unknown>) => this.receive(data)
    socket.onclose = ({ code, reason }) => this.lost(code, reason)
    this.socket = socket
  }

  private receive(data: unknown): void {
    if (typeof data === 'string') this.control(JSON.parse(data) as { type?: string; [key: string]: unknown })
    else if (data instanceof ArrayBuffer) this.options.onOutput(new Uint8Array(data))
  }

  private control(message: { type?: string; [key: string]: unknown }): void {
    if (message.type === 'ready') {
      this.failures = 0
      const shell = message.resumed === true ? 'same' : this.wasReady ? 'replaced' : 'new'
      this.wasReady = true
      this.options.onReady()
      this.enter({ kind: 'open', shell })
      this.resize(this.size) // it may have changed while connecting
    } else if (message.type === 'exit') {
      this.said.exitCode = typeof message.code === 'number' ? message.code : 0
    } else if (message.type === 'closed') {
      this.said.reason = typeof message.reason === 'string' ? message.reason : ''
    }
  }

  private lost(code: number, reason: string): void {
    this.socket = null
    const words = this.said.reason || reason // a close frame has room for 123 bytes only
    if (code === CLOSE_ACCESS_ENDED) this.end('access_ended', words)
    else if (code === CLOSE_REFUSED) this.end('refused', words)
    else if (code === CLOSE_TAKEN_OVER)
      this.end('taken_over', '') // our own words say it all
    else if (this.said.exitCode !== null) this.end('exit', '')
    else if (code === CLOSE_NORMAL) this.end('closed', words)
    else this.wait(code === CLOSE_UNREACHABLE)
  }

  private ticketRefused(error: unknown): void {
    const problem = asProblem(error)
    if (FINAL_STATUS.includes(problem.status)) this.end('refused', problem.message)
    else this.wait(false)
  }

  private wait(unreachable: boolean): void {
    const delay = backoffMs(this.failures, BACKOFF)
    this.failures += 1
    const now = this.options.now ?? Date.now
    this.enter({ kind: 'waiting', attempt: this.failures, retryAt: now() + delay, unreachable })
    this.timer = setTimeout(() => this.connect(), delay)
  }

  private end(cause: EndCause, reason: string): void {
    this.enter({ kind: 'ended', cause, reason, exitCode: this.said.exitCode })
  }

  private enter(state: TerminalState): void {
    this.stateNow = state
    this.options.onState(state)
  }
}
