/** The kinds of objects that a configuration declares, in the order in which they are written. Deletion is in reverse. */
import { type Definition, withoutServerFields } from '../documents.ts'
import { type Complete, completeAttestor, completeDatabase, completeWorkload } from './complete.ts'

/** An object is named by its kind and name. */
export type ObjectName = { kind: KindName; name: string }

type Kind = {
  /** The schema of a definition, in openapi.yaml. */
  schema: string
  /** The schema of its name. */
  nameSchema: string
  complete: Complete
}

export const kinds = {
  attestor: { schema: 'AttestorSpec', nameSchema: 'Name', complete: completeAttestor },
  database: { schema: 'DatabaseSpec', nameSchema: 'Name', complete: completeDatabase },
  workload: { schema: 'WorkloadSpec', nameSchema: 'Name', complete: completeWorkload },
  /** Its name is the path of its secret. */
  'rotation-policy': { schema: 'RotationPolicySpec', nameSchema: 'SecretPath', complete: (definition) => definition },
} as const satisfies Record<string, Kind>

export type KindName = keyof typeof kinds

const isKind = (name: string): name is KindName => Object.hasOwn(kinds, name)

export const kindNames = Object.keys(kinds).filter(isKind)

/** The definition with its defaults, without its name. `live` is that of the server. */
export function completed({ kind, name }: ObjectName, spec: Definition, live?: Definition): Definition {
  const { name: _, ...rest } = kinds[kind].complete({ name, ...spec }, live)
  return rest
}

/** The definition in a reply of the server. Whether an entry is disabled is no part of it: no write changes that. */
export function specIn(reply: Definition): Definition {
  const { name: _, disabled: __, ...spec } = withoutServerFields(reply)
  return spec
}

export const keyOf = ({ kind, name }: ObjectName): string => `${kind} ${name}`
