/** What needs somebody's attention, worst first. */

import type { RouteLocationRaw } from 'vue-router'

import type { Overview } from '@/api/model'
import type { Tone } from '@/ui/tone'

export interface AttentionItem {
  /** Message `overview.attention_<key>`, with `count`. */
  key: string
  count: number
  tone: Tone
  to: RouteLocationRaw
}

export function attentionItems({ machines, tasks, allocations }: Overview): AttentionItem[] {
  const items: AttentionItem[] = [
    {
      key: 'unreachable',
      count: machines.unreachable,
      tone: 'bad',
      to: list('machines', { reachable: 'false' }),
    },
    {
      key: 'quarantined',
      count: machines.quarantined,
      tone: 'bad',
      to: list('machines', { state: 'quarantined' }),
    },
    { key: 'failed', count: tasks.failed_24h, tone: 'warn', to: list('tasks', { state: 'failed' }) },
    {
      key: 'ending',
      count: allocations.ending_7d,
      tone: 'warn',
      to: list('allocations', { sort: 'ends_at' }),
    },
    {
      key: 'reclaiming',
      count: machines.reclaiming,
      tone: 'busy',
      to: list('machines', { state: 'reclaiming' }),
    },
    {
      key: 'maintenance',
      count: machines.maintenance,
      tone: 'idle',
      to: list('machines', { state: 'maintenance' }),
    },
  ]
  return items.filter(({ count }) => count > 0)
}

function list(name: string, query: Record<string, string>): RouteLocationRaw {
  return { name, query }
}
