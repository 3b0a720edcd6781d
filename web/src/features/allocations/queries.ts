import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'

import { api, data } from '@/api/client'
import type { ListQuery } from '@/api/listQuery'

export function useAllocationList(query: () => ListQuery) {
  return useQuery({
    queryKey: computed(() => ['allocations', 'list', query()]),
    queryFn: () => data(api.GET('/api/v1/allocations', { params: { query: query() } })),
    placeholderData: keepPreviousData,
  })
}

export function useAllocation(id: () => string) {
  return useQuery({
    queryKey: computed(() => ['allocations', 'one', id()]),
    queryFn: () =>
      data(api.GET('/api/v1/allocations/{allocation_id}', { params: { path: { allocation_id: id() } } })),
  })
}
