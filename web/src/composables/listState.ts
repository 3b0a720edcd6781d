/** State of a list (page, sort, search, filters) as text in the URL, so that it can be linked, reloaded and gone back to. */

export interface ListState {
  page: number
  pageSize: number
  sort: string
  q: string
  filters: Record<string, string>
}

export interface ListDefaults {
  sort: string
  pageSize?: number
  /** Names of the filters this list knows; anything else in the URL is left alone. */
  filters: readonly string[]
}

export const PAGE_SIZES = [25, 50, 100, 200]
const DEFAULT_PAGE_SIZE = 50

type UrlQuery = Record<string, unknown>

function single(value: unknown): string {
  const first: unknown = Array.isArray(value) ? value[0] : value
  return typeof first === 'string' ? first : ''
}

function whole(value: unknown, fallback: number, most: number): number {
  const number = Number(single(value))
  return Number.isInteger(number) && number >= 1 && number <= most ? number : fallback
}

export function readListState(query: UrlQuery, defaults: ListDefaults): ListState {
  const filters: Record<string, string> = {}
  for (const name of defaults.filters) {
    const value = single(query[name])
    if (value) filters[name] = value
  }
  return {
    page: whole(query.page, 1, 1_000_000),
    pageSize: whole(query.page_size, defaults.pageSize ?? DEFAULT_PAGE_SIZE, 200),
    sort: single(query.sort) || defaults.sort,
    q: single(query.q),
    filters,
  }
}

/** The query part of the URL; what equals the default is left out. */
export function writeListState(state: ListState, defaults: ListDefaults): Record<string, string> {
  const query: Record<string, string> = { ...state.filters }
  if (state.page > 1) query.page = String(state.page)
  if (state.pageSize !== (defaults.pageSize ?? DEFAULT_PAGE_SIZE)) query.page_size = String(state.pageSize)
  if (state.sort !== defaults.sort) query.sort = state.sort
  if (state.q) query.q = state.q
  return query
}

/** The next sort when the head of `column` is pressed: ascending, then descending. */
export function toggledSort(current: string, column: string): string {
  return current === column ? `-${column}` : column
}
