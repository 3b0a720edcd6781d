import { computed } from 'vue'
import { useRoute, useRouter } from 'vue-router'

import { readListState, toggledSort, writeListState, type ListDefaults, type ListState } from './listState'

export function useListState(defaults: ListDefaults) {
  const route = useRoute()
  const router = useRouter()
  const state = computed(() => readListState(route.query, defaults))

  function change(patch: Partial<ListState>): void {
    // A new filter, search or sort starts at the first page again.
    const next = { ...state.value, page: 1, ...patch }
    void router.replace({ query: writeListState(next, defaults) })
  }

  return {
    state,
    isFiltered: computed(() => state.value.q !== '' || Object.keys(state.value.filters).length > 0),
    /** What the API takes: filters, search, sort and page. */
    params: computed(() => ({
      page: state.value.page,
      page_size: state.value.pageSize,
      sort: state.value.sort,
      ...(state.value.q ? { q: state.value.q } : {}),
      ...state.value.filters,
    })),
    search: (q: string) => change({ q }),
    sortBy: (column: string) => change({ sort: toggledSort(state.value.sort, column) }),
    goTo: (page: number) => change({ page }),
    resize: (pageSize: number) => change({ pageSize }),
    filter: (name: string, value: string) => {
      const filters = Object.fromEntries(Object.entries(state.value.filters).filter(([key]) => key !== name))
      change({ filters: value ? { ...filters, [name]: value } : filters })
    },
    clear: () => change({ q: '', filters: {} }),
  }
}
