/**
 * Keeps cached data fresh while signed in: events invalidate it by topic. While the stream is down what is on
 * screen is asked for slowly. A tab hidden for a minute gives its connection back, since browsers allow only six
 * per origin over HTTP/1.1.
 */

import { useQueryClient, type Query } from '@tanstack/vue-query'
import { onScopeDispose, readonly, ref, type Ref } from 'vue'

import { asProblem } from '@/api/problem'

import { ChangeCoalescer } from './coalesce'
import { EventStream, type LiveStatus } from './eventStream'
import { isTouched, parseChange } from './topics'

const SLOW_POLL_MS = 15_000
const HIDDEN_GRACE_MS = 60_000

/** Not ours to see any more: each further question would only stand in the audit trail as one more refusal. */
function isGone(error: unknown): boolean {
  return error !== null && asProblem(error).status === 404
}

/** Whether somebody looks at live figures here: a page that shows only the machine's name needs no new samples. */
function showsSamples({ observers }: Pick<Query, 'observers'>): boolean {
  return (
    document.visibilityState === 'visible' && observers.some(({ options }) => options.meta?.live === true)
  )
}

export function useLiveUpdates(): Readonly<Ref<LiveStatus>> {
  const queryClient = useQueryClient()
  const status = ref<LiveStatus>('connecting')
  let wasInterrupted = false
  let hideTimer: ReturnType<typeof setTimeout> | undefined

  const coalescer = new ChangeCoalescer((topic, ids) => {
    const isSample = topic === 'samples'
    void queryClient.invalidateQueries(
      {
        predicate: (query) =>
          isTouched(query.queryKey, topic, ids) &&
          !isGone(query.state.error) &&
          (!isSample || showsSamples(query)),
      },
      // An answer on its way has figures that are new enough. Dropping it for the next ones would, behind a slow
      // line, show none at all.
      { cancelRefetch: !isSample },
    )
  })

  const stream = new EventStream({
    onEvent: ({ event, data }) => {
      const change = event === 'change' ? parseChange(data) : null
      if (change) coalescer.add(change)
    },
    onStatus: (next) => {
      status.value = next
      if (next !== 'live' && next !== 'connecting') wasInterrupted = true
      if (next === 'live' && wasInterrupted) {
        wasInterrupted = false
        void queryClient.invalidateQueries() // whatever changed in between was not announced to us
      }
    },
  })

  const slowPoll = setInterval(() => {
    if (status.value === 'reconnecting') void queryClient.invalidateQueries({ refetchType: 'active' })
  }, SLOW_POLL_MS)

  function followVisibility(): void {
    clearTimeout(hideTimer)
    if (document.visibilityState === 'visible') stream.start()
    else hideTimer = setTimeout(() => stream.stop(), HIDDEN_GRACE_MS)
  }

  document.addEventListener('visibilitychange', followVisibility)
  stream.start()
  onScopeDispose(() => {
    document.removeEventListener('visibilitychange', followVisibility)
    clearTimeout(hideTimer)
    clearInterval(slowPoll)
    coalescer.stop()
    stream.stop()
  })
  return readonly(status)
}
