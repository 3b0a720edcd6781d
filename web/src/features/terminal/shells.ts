/** The ids of the shells this browser tab has open on a machine, so that a reload attaches to the same ones. */

import { isUuid } from '@/composables/format'
import { randomId } from '@/composables/randomId'

type Store = Pick<Storage, 'getItem' | 'setItem'>

const MAX_SHELLS = 8

function keyOf(machineId: string): string {
  return `rg.shells.${machineId}`
}

export function loadShells(store: Store, machineId: string, newId: () => string = randomId): string[] {
  try {
    const value: unknown = JSON.parse(store.getItem(keyOf(machineId)) ?? '[]')
    const ids = Array.isArray(value)
      ? value.filter((id): id is string => typeof id === 'string' && isUuid(id))
      : []
    return ids.length ? ids.slice(0, MAX_SHELLS) : [newId()]
  } catch {
    return [newId()] // unreadable, or storage is blocked: a fresh shell
  }
}

export function saveShells(store: Store, machineId: string, ids: readonly string[]): void {
  try {
    store.setItem(keyOf(machineId), JSON.stringify(ids))
  } catch {
    // Storage is blocked: the shell is lost with the page.
  }
}

export function canAddShell(ids: readonly string[]): boolean {
  return ids.length < MAX_SHELLS
}
