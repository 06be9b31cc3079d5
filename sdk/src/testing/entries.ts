/** The workload entries of a test, and their grants. */
import { PurserError } from '../errors.ts'
import { newId } from './format.ts'

/** A workload entry. Its defaults grant almost everything, since tests are of programs that use credentials. */
export type TestWorkload = {
  /** With a path under the trust domain: `spiffe://example.org/web`. */
  spiffeId: string
  /** Granted DNS names. Default: none. */
  dnsNames?: readonly string[]
  /** Granted audiences. Default: all. */
  audiences?: readonly string[]
  /** Granted paths of secrets, with `*` and a trailing `**`. Default: all. */
  secretPaths?: readonly string[]
  /** Names of granted databases. Default: all. */
  databaseNames?: readonly string[]
  /** The maximum lifetime of a certificate, at least 6. Default: 3600. */
  lifetimeSeconds?: number
  /** The maximum lifetime of a JWT-SVID. Default: 300. */
  jwtLifetimeSeconds?: number
  /** The lifetime of a session. Default: 43,200. */
  sessionSeconds?: number
}

/** An entry's members that a test sets. */
type Changes = { [K in keyof TestWorkload]: TestWorkload[K] | undefined } & { spiffeId: string }

export type WorkloadEntry = {
  id: string
  /** The path of its SPIFFE ID, with hyphens. */
  name: string
  revision: number
  spiffeId: string
  dnsNames: readonly string[]
  audiences: readonly string[] | undefined
  secretPaths: readonly string[] | undefined
  databaseNames: readonly string[] | undefined
  lifetimeSeconds: number
  jwtLifetimeSeconds: number
  sessionSeconds: number
}

export type Entries = ReturnType<typeof createEntries>

/**
 * Whole seconds. With less than 5 s left nothing is issued, and an end is cut to a whole second: one more, so that it is
 * not the moment that decides.
 */
/** A credential that ends sooner is of no use. */
export const minLeftSeconds = 5
const minSeconds = minLeftSeconds + 1

const bad = (why: string): PurserError => new PurserError('bad_options', why)

export function createEntries(trustDomain: string) {
  const entries = new Map<string, WorkloadEntry>()

  const nameOf = (spiffeId: string): string => spiffeId.slice(`spiffe://${trustDomain}/`.length).replaceAll('/', '-')

  function check({ spiffeId, ...numbers }: Changes): void {
    const prefix = `spiffe://${trustDomain}/`
    const path = spiffeId.startsWith(prefix) ? spiffeId.slice(prefix.length) : ''
    const whole = path.split('/').every((segment) => /^[A-Za-z0-9._-]+$/.test(segment) && !/^\.\.?$/.test(segment))
    if (!whole) throw bad(`spiffeId is ${prefix} and a path of a-z, A-Z, 0-9, '.', '_' and '-'`)
    if (path.startsWith('purser/')) throw bad(`${prefix}purser/ is Purser's own`)
    for (const name of ['lifetimeSeconds', 'jwtLifetimeSeconds', 'sessionSeconds'] as const) {
      const seconds = numbers[name]
      if (seconds !== undefined && !(Number.isSafeInteger(seconds) && seconds >= minSeconds))
        throw bad(`${name} is a whole number of seconds, at least ${minSeconds}: a credential with less is not issued`)
    }
  }

  return {
    /** Adds an entry, or changes the members of one that have a value. @throws PurserError `bad_options` */
    put(workload: Changes): WorkloadEntry {
      check(workload)
      const { spiffeId, ...members } = workload
      const before = entries.get(spiffeId)
      const changed = Object.entries(members).filter(([, value]) => value !== undefined)
      if (before && changed.length === 0) return before
      const entry = {
        id: newId('wl'),
        name: nameOf(spiffeId),
        spiffeId,
        dnsNames: [],
        audiences: undefined,
        secretPaths: undefined,
        databaseNames: undefined,
        lifetimeSeconds: 3600,
        jwtLifetimeSeconds: 300,
        sessionSeconds: 12 * 3600,
        ...before,
        ...Object.fromEntries(changed),
        revision: (before?.revision ?? 0) + 1,
      }
      entries.set(spiffeId, entry)
      return entry
    },
    remove: (spiffeId: string): boolean => entries.delete(spiffeId),
    get: (spiffeId: string): WorkloadEntry | undefined => entries.get(spiffeId),
    /** By the subject of a proof: a SPIFFE ID, or the name of an entry. */
    find: (subject: string): WorkloadEntry | undefined =>
      entries.get(subject) ?? [...entries.values()].find(({ name }) => name === subject),
  }
}
