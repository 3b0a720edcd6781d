/** The parts of an OpenAPI 3.1 document that the reference page shows. */

export interface Schema {
  $ref?: string
  type?: string | string[]
  format?: string
  enum?: unknown[]
  const?: unknown
  items?: Schema
  properties?: Record<string, Schema>
  required?: string[]
  oneOf?: Schema[]
  anyOf?: Schema[]
  allOf?: Schema[]
  additionalProperties?: boolean | Schema
  description?: string
  default?: unknown
  minimum?: number
  maximum?: number
  minLength?: number
  maxLength?: number
  pattern?: string
}

interface Media {
  schema?: Schema
}

export interface Parameter {
  name: string
  in: string
  required?: boolean
  description?: string
  schema?: Schema
}

export interface OperationObject {
  operationId?: string
  summary?: string
  description?: string
  tags?: string[]
  parameters?: Parameter[]
  requestBody?: { content?: Record<string, Media> }
  responses?: Record<string, ResponseObject>
}

interface ResponseObject {
  $ref?: string
  description?: string
  content?: Record<string, Media>
}

export interface OpenApi {
  info: { title: string; version: string }
  paths: Record<string, Record<string, OperationObject>>
  components?: { schemas?: Record<string, Schema>; responses?: Record<string, ResponseObject> }
}

export interface Operation extends OperationObject {
  method: string
  path: string
  tag: string
}

const METHODS = ['get', 'post', 'put', 'patch', 'delete']

export function operationsOf(document: OpenApi): Operation[] {
  return Object.entries(document.paths).flatMap(([path, item]) =>
    METHODS.flatMap((method) => {
      const operation = item[method]
      if (!operation) return []
      const responses = followed(operation.responses, document)
      return [{ ...operation, responses, method, path, tag: operation.tags?.[0] ?? 'other' }]
    }),
  )
}

/** Refusals are described once, under `components`. */
function followed(
  responses: OperationObject['responses'],
  { components }: OpenApi,
): Record<string, ResponseObject> {
  const entries = Object.entries(responses ?? {}).map(([status, response]): [string, ResponseObject] => [
    status,
    response.$ref ? (components?.responses?.[nameOf(response.$ref)] ?? {}) : response,
  ])
  return Object.fromEntries(entries)
}

export function byTag(operations: readonly Operation[]): [string, Operation[]][] {
  const groups = new Map<string, Operation[]>()
  for (const operation of operations) {
    const group = groups.get(operation.tag) ?? []
    groups.set(operation.tag, [...group, operation])
  }
  return [...groups]
}

/** All words must be in the path, the method or the descriptions. */
export function matches(operation: Operation, search: string): boolean {
  const text = `${operation.method} ${operation.path} ${operation.summary ?? ''} ${operation.description ?? ''}`
  return search
    .toLowerCase()
    .split(/\s+/)
    .every((word) => text.toLowerCase().includes(word))
}

function nameOf(reference: string): string {
  return reference.slice(reference.lastIndexOf('/') + 1)
}

/** A schema in a few words, such as "string (uuid)", "MachineView[]" or "integer ≥ 1 ≤ 200". */
export function typeOf(schema: Schema | undefined): string {
  if (!schema) return 'any'
  if (schema.$ref) return nameOf(schema.$ref).replace(/^Page_.*\.(\w+)_$/, 'Page<$1>')
  const choices = schema.oneOf ?? schema.anyOf ?? schema.allOf
  if (choices) return choices.map(typeOf).join(' | ')
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(' | ')
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.items) return `${typeOf(schema.items)}[]`
  const type = Array.isArray(schema.type) ? schema.type.join(' | ') : (schema.type ?? 'any')
  return `${type}${schema.format ? ` (${schema.format})` : ''}${limits(schema)}`
}

function limits({ minimum, maximum, minLength, maxLength }: Schema): string {
  const least = minimum ?? minLength
  const most = maximum ?? maxLength
  return `${least === undefined ? '' : ` ≥ ${least}`}${most === undefined ? '' : ` ≤ ${most}`}`
}

export interface Row {
  name: string
  type: string
  required: boolean
  description: string
}

/** The properties of a schema, references followed, optional wrappers and lists opened. */
export function rowsOf(schema: Schema | undefined, document: OpenApi, depth = 0): Row[] {
  if (!schema || depth > 4) return []
  if (schema.$ref) return rowsOf(document.components?.schemas?.[nameOf(schema.$ref)], document, depth + 1)
  const inner = schema.oneOf ?? schema.anyOf ?? schema.allOf
  if (inner) return inner.flatMap((choice) => rowsOf(choice, document, depth + 1))
  if (schema.items) return rowsOf(schema.items, document, depth + 1)
  return Object.entries(schema.properties ?? {}).map(([name, property]) => ({
    name,
    type: typeOf(property),
    required: schema.required?.includes(name) ?? false,
    description: property.description ?? '',
  }))
}

export function firstSchema(content: Record<string, Media> | undefined): Schema | undefined {
  return Object.values(content ?? {})[0]?.schema
}
