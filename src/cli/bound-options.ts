/** The options of a bound: what an operator or token may name, list, write and grant. */
import type { Command } from 'commander'
import type { Schemas } from './api-types.ts'
import { repeated } from './options.ts'
import type { VerbFlags } from './verb.ts'

export type BoundFlags = VerbFlags & {
  everything?: boolean
  attestor?: string[]
  namePrefix?: string
  spiffeIdPrefix?: string
  secretPrefix?: string
  audience?: string[]
  dnsSuffix?: string[]
  database?: string[]
}

export const addBoundOptions = (command: Command): Command =>
  command
    .option('--everything', 'no bound')
    .option('--attestor <name>', 'bound: an attestor; may be repeated', repeated)
    .option('--name-prefix <prefix>', 'bound: beginning of the names of entries and operators, such as shop-')
    .option('--spiffe-id-prefix <prefix>', 'bound: beginning of the paths of SPIFFE IDs, such as /prod-eu/ns/shop/')
    .option('--secret-prefix <prefix>', 'bound: beginning of secret paths, such as prod/shop/')
    .option('--audience <audience>', 'bound: an audience of JWTs; may be repeated', repeated)
    .option('--dns-suffix <domain>', 'bound: a domain of DNS names; may be repeated', repeated)
    .option('--database <name>', 'bound: a database; may be repeated', repeated)

/** @returns nothing where no option of a bound is set */
export function boundIn(flags: BoundFlags): { bound?: Schemas['WrittenBound'] } {
  if (flags.everything) return { bound: 'everything' }
  const { attestor, namePrefix, spiffeIdPrefix, secretPrefix, audience, dnsSuffix, database } = flags
  const bound = {
    ...(attestor && { attestors: attestor }),
    ...(namePrefix !== undefined && { namePrefix }),
    ...(spiffeIdPrefix !== undefined && { spiffeIdPrefix }),
    ...(secretPrefix !== undefined && { secretPrefix }),
    ...(audience && { audiences: audience }),
    ...(dnsSuffix && { dnsSuffixes: dnsSuffix }),
    ...(database && { databases: database }),
  }
  return Object.keys(bound).length > 0 ? { bound } : {}
}

/** In a table. */
export const shortBound = (bound: Schemas['WrittenBound']): string =>
  bound === 'everything' ? bound : (bound.secretPrefix ?? bound.spiffeIdPrefix ?? 'bounded')
