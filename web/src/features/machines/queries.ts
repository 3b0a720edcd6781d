import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'

import { api, data } from '@/api/client'
import type { ListQuery } from '@/api/listQuery'

export function useMachineList(query: () => ListQuery, enabled: () => boolean = () => true) {
  return useQuery({
    enabled,
    queryKey: computed(() => ['machines', 'list', query()]),
    queryFn: () => data(api.GET('/api/v1/machines', { params: { query: query() } })),
    placeholderData: keepPreviousData,
  })
}

/** Each sample of a watched machine is announced. This is for samples that come while the announcements do not. */
const LOST_EVENTS_MS = 30_000

/** `watching`: live figures are on screen; each `samples` event of the machine fetches it again. */
export function useMachine(id: () => string, watching = false) {
  return useQuery({
    queryKey: computed(() => ['machines', 'one', id()]),
    queryFn: () => data(api.GET('/api/v1/machines/{machine_id}', { params: { path: { machine_id: id() } } })),
    meta: { live: watching },
    // Only while the tab is in front (TanStack's default), and not of a machine that is no longer ours to see.
    // Counted anew after each answer, so that it never comes while events do.
    refetchInterval: (query) => (watching && query.state.status !== 'error' ? LOST_EVENTS_MS : false),
  })
}

export function useMachineHistory(id: () => string) {
  return useQuery({
    enabled: () => id() !== '',
    queryKey: computed(() => ['machines', 'history', id()]),
    queryFn: () =>
      data(
        api.GET('/api/v1/machines/{machine_id}/samples', {
          params: { path: { machine_id: id() }, query: { minutes: 60 } },
        }),
      ),
    staleTime: 60_000,
  })
}
