/** One shell on screen: xterm.js, its connection, its size. */

import '@xterm/xterm/css/xterm.css'

import { onBeforeUnmount, onMounted, shallowRef, type Ref } from 'vue'

import { api, data } from '@/api/client'

import { TerminalConnection, type Size, type TerminalState } from './connection'
import { createScreen, type Screen } from './screen'
import { WriteQueue } from './writeQueue'

function socketUrl(machineId: string, shell: string, ticket: string, size: Size): string {
  const url = new URL(`/api/v1/machines/${machineId}/terminal`, location.origin)
  url.protocol = location.protocol === 'https:' ? 'wss:' : 'ws:'
  url.search = new URLSearchParams({
    ticket,
    shell,
    cols: String(size.cols),
    rows: String(size.rows),
  }).toString()
  return url.toString()
}

async function requestTicket(machineId: string): Promise<string> {
  const path = { params: { path: { machine_id: machineId } } }
  return (await data(api.POST('/api/v1/machines/{machine_id}/terminal-ticket', path))).ticket
}

export function useTerminal(element: Ref<HTMLElement | null>, machineId: string, shell: string) {
  const state = shallowRef<TerminalState>({ kind: 'connecting', attempt: 0 })
  const encoder = new TextEncoder()
  let screen: Screen | null = null
  let observer: ResizeObserver | null = null
  let wroteBefore = false
  const output = new WriteQueue((chunk, done) => screen?.terminal.write(chunk, done))

  const connection = new TerminalConnection({
    requestTicket: () => requestTicket(machineId),
    openSocket: (ticket, size) => new WebSocket(socketUrl(machineId, shell, ticket, size)),
    onState: (next) => (state.value = next),
    onOutput: (bytes) => {
      wroteBefore = true
      output.push(bytes)
    },
    // What comes next is the replayed screen: the old one would stand above it twice.
    onReady: () => {
      output.clear()
      if (wroteBefore) screen?.terminal.reset()
    },
  })

  function hurry(): void {
    if (document.visibilityState === 'visible') connection.hurry()
  }

  onMounted(() => {
    if (!element.value) return
    screen = createScreen(element.value)
    const { terminal, fit } = screen
    terminal.onData((text) => connection.send(encoder.encode(text)))
    terminal.onBinary((text) =>
      connection.send(Uint8Array.from(text, (character) => character.charCodeAt(0))),
    )
    terminal.onResize((size) => connection.resize(size))
    observer = new ResizeObserver(() => {
      if (element.value?.clientHeight) fit() // a tab in the background has no size
    })
    observer.observe(element.value)
    fit()
    connection.resize({ cols: terminal.cols, rows: terminal.rows })
    connection.connect()
    terminal.focus()
    window.addEventListener('online', hurry)
    document.addEventListener('visibilitychange', hurry)
  })

  onBeforeUnmount(() => {
    window.removeEventListener('online', hurry)
    document.removeEventListener('visibilitychange', hurry)
    observer?.disconnect()
    connection.dispose()
    screen?.terminal.dispose()
  })

  return {
    state,
    reconnect: () => connection.connect(),
    focus: () => screen?.terminal.focus(),
  }
}
