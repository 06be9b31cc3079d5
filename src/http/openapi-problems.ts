/** Converts Ajv's errors to problems for the caller: a pointer, and the expected form in words. They never contain the value. */
import type { ErrorObject } from 'ajv/dist/2020.js'
import type { Problem } from '../errors.ts'
import { masked } from '../telemetry/mask.ts'
import { isNode, list } from './openapi-schemas.ts'

/** A JSON pointer (RFC 6901) and the problem in words. A name that looks like a token or a value is masked. */
export type ValidationProblem = Problem

const max = 20
const maxPointerLength = 256
/** The member that distinguishes the forms of a union. */
const tag = 'kind'

/**
 * @param errors of a validator made with `allErrors` and `verbose`
 * @param prefix pointer of the validated value
 * @returns at most 20
 */
export function problemsOf(errors: readonly ErrorObject[], prefix = ''): ValidationProblem[] {
  const problems = new Map<string, ValidationProblem>()
  const relevant = settleUnions(errors)
  const wrongType = new Set(relevant.filter((error) => error.keyword === 'type').map((error) => error.instancePath))
  for (const error of relevant) {
    if (problems.size === max) break
    // Further errors of a value with a wrong type add nothing.
    if (error.keyword !== 'type' && wrongType.has(error.instancePath) && !error.propertyName) continue
    // These only say that an inner error exists.
    if (error.keyword === 'if' || error.keyword === 'propertyNames') continue
    const problem = { pointer: masked(cut(withoutValues(prefix + pointer(error)))), detail: words(error) }
    problems.set(`${problem.pointer} ${problem.detail}`, problem)
  }
  return [...problems.values()]
}

/** Reduces the errors of a failed union to those of the form that was evidently meant, or to one error of the union. */
function settleUnions(errors: readonly ErrorObject[]): ErrorObject[] {
  const remaining = new Set(errors)
  const replacements = new Map<ErrorObject, ErrorObject>()
  // Ajv reports a union right after its forms. Backwards, outer unions come before inner ones.
  for (let n = errors.length - 1; n >= 0; n--) {
    const union = errors[n]
    if (!union || !isUnion(union) || !remaining.has(union)) continue
    const inside = errorsInside(errors, n, union).filter((error) => remaining.has(error))
    const forms = byForm(inside, union)
    const candidates = forms.filter((form) => form.length > 0 && !form.some((error) => excludes(error, union)))
    const isClear = candidates.length === 1 && forms.every((form) => form.length > 0)
    const shared = isClear ? undefined : sharedFault(forms, union)
    const visible = new Set(isClear ? candidates[0] : [])
    for (const error of inside) if (!visible.has(error)) remaining.delete(error)
    if (shared) replacements.set(union, shared)
    else if (isClear) remaining.delete(union)
  }
  return errors.flatMap((error) => (remaining.has(error) ? (replacements.get(error) ?? error) : []))
}

const isUnion = (error: ErrorObject): boolean => error.keyword === 'oneOf' || error.keyword === 'anyOf'

/** The errors of a union's forms, which precede its own. */
function errorsInside(errors: readonly ErrorObject[], end: number, union: ErrorObject): ErrorObject[] {
  let start = end
  while (start > 0 && isInside(errors[start - 1], union)) start--
  return errors.slice(start, end)
}

const isInside = (error: ErrorObject | undefined, union: ErrorObject): boolean =>
  error !== undefined &&
  error.schemaPath.startsWith(`${union.schemaPath}/`) &&
  (error.instancePath === union.instancePath || error.instancePath.startsWith(`${union.instancePath}/`))

function byForm(errors: readonly ErrorObject[], union: ErrorObject): ErrorObject[][] {
  const forms = list(union.schema).map((): ErrorObject[] => [])
  for (const error of errors)
    forms[Number.parseInt(error.schemaPath.slice(union.schemaPath.length + 1), 10)]?.push(error)
  return forms
}

/** Whether an error shows that another form of the union is meant: another type, or another tag. */
const excludes = (error: ErrorObject, union: ErrorObject): boolean =>
  isTypeFault(error, union) || isTagFault(error, union)

const isTypeFault = (error: ErrorObject, union: ErrorObject): boolean =>
  error.instancePath === union.instancePath && error.keyword === 'type'

const isTagFault = (error: ErrorObject, union: ErrorObject): boolean =>
  error.instancePath === `${union.instancePath}/${tag}` && error.keyword === 'const'

/** One error for errors that all forms share: the tag is missing, the tag is unknown, or no form has the type. */
function sharedFault(forms: readonly ErrorObject[][], union: ErrorObject): ErrorObject | undefined {
  const inEach = (isFault: (error: ErrorObject) => boolean): ErrorObject[] => {
    const faults = forms.flatMap((form) => form.find(isFault) ?? [])
    return faults.length === forms.length ? faults : []
  }
  const missing = inEach((error) => error.params['missingProperty'] === tag)
  if (missing[0]) return missing[0]
  const tags = inEach((error) => isTagFault(error, union))
  const allowedValues = tags.map((error): unknown => error.params['allowedValue'])
  if (tags[0]) return { ...tags[0], keyword: 'enum', params: { allowedValues } }
  const types = inEach((error) => isTypeFault(error, union))
  const type = [...new Set(types.map((error): unknown => error.params['type']))]
  return types[0] && { ...types[0], params: { type } }
}

function pointer(error: ErrorObject): string {
  const member: unknown =
    error.propertyName ?? error.params['additionalProperty'] ?? error.params['missingProperty'] ?? undefined
  if (typeof member !== 'string') return error.instancePath
  return `${error.instancePath}/${member.replaceAll('~', '~0').replaceAll('/', '~1')}`
}

const cut = (text: string): string =>
  text.length <= maxPointerLength ? text : `${text.slice(0, maxPointerLength).toWellFormed()}…`

/** A long run of letters and digits is not the name of a member, but a value in the place of a name. */
const withoutValues = (text: string): string =>
  text.replaceAll(/[A-Za-z0-9+=_-]{16,}/g, (run) => (/[0-9]/.test(run) && /[A-Za-z]/.test(run) ? '[masked]' : run))

function words(error: ErrorObject): string {
  const limit = String(error.params['limit'])
  const name = error.propertyName === undefined ? '' : 'the name '
  switch (error.keyword) {
    case 'required':
      return 'is required'
    case 'additionalProperties':
      return 'is not known here'
    case 'type':
      return `must be ${types(error.params['type'])}`
    case 'enum':
      return `must be one of ${list(error.params['allowedValues']).join(', ')}`
    case 'const':
      return `must be ${JSON.stringify(error.params['allowedValue'])}`
    case 'pattern':
      return `${name}must be ${expected(error.parentSchema)}`
    case 'format':
      return 'must be a time in UTC such as 2026-11-24T23:05:00Z'
    case 'minLength':
      return limit === '1' ? `${name}must not be empty` : `${name}must have at least ${limit} characters`
    case 'maxLength':
      return `${name}must have at most ${limit} characters`
    case 'minimum':
      return `must be at least ${limit}`
    case 'maximum':
      return `must be at most ${limit}`
    case 'minItems':
      return `must have at least ${limit} ${limit === '1' ? 'item' : 'items'}`
    case 'maxItems':
      return `must have at most ${limit} items`
    case 'uniqueItems':
      return 'must not have the same item twice'
    case 'minProperties':
      return `must have at least ${limit} ${limit === '1' ? 'member' : 'members'}`
    case 'maxProperties':
      return `must have at most ${limit} members`
    case 'dependentRequired':
      return `is required with ${String(error.params['property'])}`
    case 'oneOf':
    case 'anyOf':
      return union(error)
    default:
      return 'does not have the expected form'
  }
}

function union(error: ErrorObject): string {
  const forms = list(error.schema).map((form) =>
    isNode(form) && Object.keys(form).length === 1 ? list(form['required']) : [],
  )
  if (forms.some((members) => members.length === 0)) return 'does not have one of the expected forms'
  const choice = forms.map((members) => members.join(' with ')).join(', ')
  return `must have ${error.keyword === 'oneOf' ? 'exactly' : 'at least'} one of ${choice}`
}

const articles: Record<string, string> = {
  string: 'a string',
  integer: 'a whole number',
  number: 'a number',
  boolean: 'true or false',
  array: 'an array',
  object: 'an object',
  null: 'null',
}

const types = (type: unknown): string =>
  (Array.isArray(type) ? list(type) : [type])
    .map((typeName) => articles[String(typeName)] ?? String(typeName))
    .join(' or ')

const expected = (schema: unknown): string =>
  isNode(schema) && typeof schema['x-expected'] === 'string' ? schema['x-expected'] : 'of the documented form'
