/** Errors of the API: RFC 9457 problem documents, and what to make of everything that is not one. */

export interface FieldProblem {
  field: string
  found?: string | null
  expected?: string | null
}

/** `status` 0 means that no answer came at all. */
export class ApiProblem extends Error {
  readonly status: number
  readonly code: string
  readonly title: string
  readonly requestId: string
  readonly errors: readonly FieldProblem[]
  readonly retryAfterSeconds: number | null

  constructor(facts: {
    status: number
    code: string
    title: string
    detail: string
    requestId?: string
    errors?: readonly FieldProblem[]
    retryAfterSeconds?: number | null
  }) {
    super(facts.detail || facts.title)
    this.name = 'ApiProblem'
    this.status = facts.status
    this.code = facts.code
    this.title = facts.title
    this.requestId = facts.requestId ?? ''
    this.errors = facts.errors ?? []
    this.retryAfterSeconds = facts.retryAfterSeconds ?? null
  }
}

export const UNREACHABLE = 'unreachable'

export function unreachableProblem(cause: unknown): ApiProblem {
  const detail = cause instanceof Error ? cause.message : String(cause)
  return new ApiProblem({ status: 0, code: UNREACHABLE, title: 'The server did not answer', detail })
}

function record(value: unknown): Record<string, unknown> {
  return typeof value === 'object' && value !== null ? (value as Record<string, unknown>) : {}
}

function text(value: unknown): string {
  return typeof value === 'string' ? value : ''
}

function fieldProblem(value: unknown): FieldProblem {
  const facts = record(value)
  return { field: text(facts.field), found: text(facts.found), expected: text(facts.expected) }
}

/** Builds the problem from an already parsed body (`unknown`: proxies answer with HTML or nothing). */
export function problemFrom(response: Response, body: unknown): ApiProblem {
  const facts = record(body)
  const seconds = Number(facts.retry_after ?? response.headers.get('retry-after') ?? NaN)
  return new ApiProblem({
    status: response.status,
    code: text(facts.code) || `http_${response.status}`,
    title: text(facts.title) || response.statusText || `HTTP ${response.status}`,
    detail: text(facts.detail),
    requestId: text(facts.request_id) || (response.headers.get('x-request-id') ?? ''),
    errors: Array.isArray(facts.errors) ? facts.errors.map(fieldProblem) : [],
    retryAfterSeconds: Number.isFinite(seconds) ? seconds : null,
  })
}

export async function problemOf(response: Response): Promise<ApiProblem> {
  const raw = await response.text()
  try {
    return problemFrom(response, JSON.parse(raw))
  } catch {
    return problemFrom(response, null) // not JSON: the status says enough
  }
}

export function asProblem(error: unknown): ApiProblem {
  if (error instanceof ApiProblem) return error
  if (error instanceof TypeError) return unreachableProblem(error) // what fetch throws when there is no connection
  const detail = error instanceof Error ? error.message : String(error)
  return new ApiProblem({ status: 0, code: 'unexpected', title: 'Unexpected error', detail })
}
