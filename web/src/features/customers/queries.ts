import { keepPreviousData, useQuery } from '@tanstack/vue-query'
import { computed } from 'vue'

import { api, data } from '@/api/client'
import type { ListQuery } from '@/api/listQuery'

export function useCustomerList(query: () => ListQuery) {
  return useQuery({
    queryKey: computed(() => ['customers', 'list', query()]),
    queryFn: () => data(api.GET('/api/v1/customers', { params: { query: query() } })),
    placeholderData: keepPreviousData,
  })
}

export function useCustomer(id: () => string) {
  return useQuery({
    queryKey: computed(() => ['customers', 'one', id()]),
    queryFn: () =>
      data(api.GET('/api/v1/customers/{customer_id}', { params: { path: { customer_id: id() } } })),
  })
}

export function useMemberList(customerId: () => string) {
  return useQuery({
    queryKey: computed(() => ['customers', 'one', customerId(), 'members']),
    queryFn: () =>
      data(
        api.GET('/api/v1/customers/{customer_id}/members', {
          params: { path: { customer_id: customerId() }, query: { page_size: 200, sort: 'email' } },
        }),
      ),
  })
}
