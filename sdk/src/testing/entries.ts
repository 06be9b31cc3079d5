/** Who may have what: the workload entries of a test. */
import { randomBytes } from 'node:crypto'
import { PurserError } from '../errors.ts'

/** A workload entry. What is left out is generous: this is for tests of what uses credentials, not of who gets them. */
export type TestWorkload = {
  /** With a path under the trust domain: `spiffe://example.org/web`. */
  spiffeId: string
  /** Granted DNS names; none unless given. */
  dnsNames?: readonly string[]
  /** Granted audiences; every one unless given. */
  audiences?: readonly string[]
  /** Paths of secrets that are granted, with `*` and a trailing `**`; every one unless given. */
  secretPaths?: readonly string[]
  /** Databases that are granted, by name; every one unless given. */
  databaseNames?: readonly string[]
  /** The longest life of a certificate: 3600 unless given, 6 at least. */
  lifetimeSeconds?: number
  /** The longest life of a JWT-SVID: 300 unless given. */
  jwtLifetimeSeconds?: number
  /** How long an attestation lasts: 43,200 unless given. */
  sessionSeconds?: number
}

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

  function check({ spiffeId, ...numbers }: TestWorkload): void {
    const prefix = `spiffe://${trustDomain}/`
    const path = spiffeId.startsWith(prefix) ? spiffeId.slice(prefix.length) : ''
    const whole = path.split('/').every((segment) => /^[A-Za-z0-9._-]+$/.test(segment) && !/^\.\.?$/.test(segment))
    if (!whole) throw bad(`spiffeId is ${prefix} and a path of a-z, A-Z, 0-9, '.', '_' and '-'`)
    if (path.startsWith('purser/')) throw bad(`${prefix}purser/ is Purser's own`)
    for (const name of ['lifetimeSeconds', 'jwtLifetimeSeconds', 'sessionSeconds'] as const) {
      const seconds = numbers[name]
      if (seconds !== undefined && !(Number.isSafeInteger(seconds) && seconds >= minSeconds))
        throw bad(`${name} is a whole number of seconds, ${minSeconds} or more: nobody can use what ends sooner`)
    }
  }

  return {
    /** Adds an entry, or changes one by what is given. @throws PurserError `bad_options` */
    put(workload: TestWorkload): WorkloadEntry {
      check(workload)
      const { spiffeId, ...given } = workload
      const known = entries.get(spiffeId)
      const changed = Object.entries(given).filter(([, value]) => value !== undefined)
      if (known && changed.length === 0) return known
      const entry = {
        id: `wl_${randomBytes(16).toString('hex')}`,
        name: nameOf(spiffeId),
        spiffeId,
        dnsNames: [],
        audiences: undefined,
        secretPaths: undefined,
        databaseNames: undefined,
        lifetimeSeconds: 3600,
        jwtLifetimeSeconds: 300,
        sessionSeconds: 12 * 3600,
        ...known,
        ...Object.fromEntries(changed),
        revision: (known?.revision ?? 0) + 1,
      }
      entries.set(spiffeId, entry)
      return entry
    },
    remove: (spiffeId: string): boolean => entries.delete(spiffeId),
    get: (spiffeId: string): WorkloadEntry | undefined => entries.get(spiffeId),
    /** By what a proof says: a SPIFFE ID, or an entry's name. */
    find: (subject: string): WorkloadEntry | undefined =>
      entries.get(subject) ?? [...entries.values()].find(({ name }) => name === subject),
  }
}
