export interface Column {
  /** Name of the slot that renders the cell. */
  key: string
  label: string
  /** Field the API sorts by; absent: not sortable. */
  sort?: string
  align?: 'end'
  width?: string
  /** Left out on narrow screens. */
  wide?: boolean
}
