/** The kinds of objects that a configuration declares, in the order in which they are written. Deletion is in reverse. */
import { type Definition, withoutServerFields } from '../documents.ts'
import { type Complete, completeAttestor, completeDatabase, completeOperator, completeWorkload } from './complete.ts'

/** An object is named by its kind and name. */
export type ObjectName = { kind: KindName; name: string }

type Kind = {
  /** The schema of a definition, in openapi.yaml. */
  schema: string
  /** The schema of its name. */
  nameSchema: string
  complete: Complete
  /** Members that a file states, although the API has a default. */
  required?: readonly string[]
}

export const kinds = {
  attestor: { schema: 'AttestorSpec', nameSchema: 'Name', complete: completeAttestor },
  database: { schema: 'DatabaseSpec', nameSchema: 'Name', complete: completeDatabase },
  workload: { schema: 'WorkloadSpec', nameSchema: 'Name', complete: completeWorkload },
  /** Its name is the path of its secret. */
  'rotation-policy': { schema: 'RotationPolicySpec', nameSchema: 'SecretPath', complete: (definition) => definition },
  /** Its bound is written out: a member that was forgotten must not mean everything. */
  operator: {
    schema: 'OperatorSpec',
    nameSchema: 'OperatorName',
    complete: completeOperator,
    required: ['bound'],
  },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

/** Kinds that files need not cover: only some roles may read operators, and people may keep them by hand. */
export const isOptional = (kind: KindName): boolean => kind === 'operator'

const isKind = (name: string): name is KindName => Object.hasOwn(kinds, name)

export const kindNames = Object.keys(kinds).filter(isKind)

/** The definition with its defaults, without its name. `live` is that of the server. */
export function completed({ kind, name }: ObjectName, spec: Definition, live?: Definition): Definition {
  const { name: _, ...rest } = kinds[kind].complete({ name, ...spec }, live)
  return rest
}

/** The definition in a reply of the server. Whether it is disabled is no part of it: no write changes that. */
export function specIn(reply: Definition): Definition {
  const { name: _, disabled: __, ...spec } = withoutServerFields(reply)
  return spec
}

export const keyOf = ({ kind, name }: ObjectName): string => `${kind} ${name}`
