/** Definitions with the defaults of the server: one that omits a default equals one that names it. */
import { type AttestorSpec } from '../../attest/definition.ts'
import { kubernetesDefaults, oidcDefaults } from '../../attest/defaults.ts'
import { type PresetName, presets } from '../../attest/presets.ts'
import { isMembers } from '../../json/members.ts'
import { type BoundDefinition, boundLists, readBound } from '../../names/bound.ts'
import { databaseDefaults } from '../../secrets/databases/defaults.ts'
import type { Definition } from '../documents.ts'

/** @param live the server's, for a default that only the server knows */
export type Complete = (definition: Definition, live?: Definition) => Definition

export const completeAttestor: Complete = (definition, live) => {
  const { name, kind, preset, apiServer } = definition
  const attestor: Pick<AttestorSpec, 'name' | 'preset'> = {
    name: String(name),
    ...(isPreset(preset) && { preset }),
  }
  if (kind !== 'kubernetes') return { ...oidcDefaults(attestor), ...definition }
  // The issuer of the server's own cluster is read from its token.
  const issuer = apiServer === 'in-cluster' ? live?.issuer : undefined
  return { ...kubernetesDefaults(attestor), ...(issuer !== undefined && { issuer }), ...definition }
}

export const completeDatabase: Complete = (definition) => {
  const lifetimes = {
    defaultLifetimeSeconds: numberOf(definition.defaultLifetimeSeconds),
    maxLifetimeSeconds: numberOf(definition.maxLifetimeSeconds),
  }
  return { ...databaseDefaults(lifetimes), ...definition }
}

export const completeWorkload: Complete = (definition) => ({
  grants: {},
  requirePodBound: true,
  pinIdentity: false,
  wide: false,
  ...definition,
})

/** The server sorts the lists of a bound, and shows those that are empty. */
export const completeOperator: Complete = ({ bound, ...definition }) => ({
  ...definition,
  ...(bound !== undefined && { bound: isBound(bound) ? readBound(bound) : bound }),
})

const isBound = (value: unknown): value is BoundDefinition =>
  isMembers(value) && boundLists.every((name) => value[name] === undefined || Array.isArray(value[name]))

const isPreset = (name: unknown): name is PresetName => typeof name === 'string' && Object.hasOwn(presets, name)

const numberOf = (value: unknown): number | undefined => (typeof value === 'number' ? value : undefined)
