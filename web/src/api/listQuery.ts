/** What a list takes. The values come from the URL as text; the server checks them and answers 400 with the reason. */
export type ListQuery = Record<string, string | number | boolean>
