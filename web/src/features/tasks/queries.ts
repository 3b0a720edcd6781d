import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'

import { api, data } from '@/api/client'
import type { ListQuery } from '@/api/listQuery'

export function useTaskList(query: () => ListQuery) {
  return useQuery({
    queryKey: computed(() => ['tasks', 'list', query()]),
    queryFn: () => data(api.GET('/api/v1/tasks', { params: { query: query() } })),
    placeholderData: keepPreviousData,
  })
}

export function fetchTask(id: string) {
  return data(api.GET('/api/v1/tasks/{task_id}', { params: { path: { task_id: id } } }))
}

export function useTask(id: () => string) {
  return useQuery({ queryKey: computed(() => ['tasks', 'one', id()]), queryFn: () => fetchTask(id()) })
}
