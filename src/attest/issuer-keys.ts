/** The keys of one attestor by its definition: inline, at a URL, or found by discovery. What happens to them is logged. */
import { Refusal } from '../errors.ts'
import { OutboundError } from '../outbound/errors.ts'
import type { Finding } from './attestor.ts'
import { type FetchedKeys, type KeyEvents, createFetchedKeys } from './fetched-keys.ts'
import { type KeyList, type KeySet, createKeySet } from './key-set.ts'
import { type Place, discover, originOf, readJwks } from './key-source.ts'
import type { AttestorParts } from './parts.ts'
import { wordsOf } from './words.ts'

/** One of the three. */
export type KeysDefinition = { discovery?: true; jwksUrl?: string; jwks?: { keys: unknown[] } }

type Parts = AttestorParts & {
  definition: KeysDefinition
  issuer: string
  /** Algorithms that the operator listed. */
  taken: readonly string[] | undefined
  /** Origins that an operator named, with what gets in there. */
  places: readonly Place[]
  /** Where discovery reads its document, and the keys when that leads nowhere: an API server's own paths. */
  document?: string
  otherwise?: string
}

export type IssuerKeys = KeySet & { check(): Promise<Finding[]> }

const day = 24 * 3600

export function openKeys(name: string, parts: Parts): IssuerKeys {
  const { definition, outbound, places, taken } = parts
  const { jwks, jwksUrl: url } = definition
  if (jwks) {
    const list = createKeySet(jwks.keys, taken)
    return {
      find: async (kid, alg) => (await list).find(kid, alg),
      check: async () => [keysFinding('the inline keys', await list)],
    }
  }
  const keys = createFetchedKeys({
    source: () => (url === undefined ? discover(outbound, parts, places) : readJwks(outbound, url, places)),
    clock: parts.clock,
    keepSeconds: parts.keepKeysSeconds ?? day,
    taken,
    events: logged(name, originOf(url ?? parts.document ?? parts.issuer), parts.log),
  })
  return {
    find: (kid, alg) => keys.find(kid, alg),
    check: () => checkFetched(url === undefined ? 'discovery and keys' : 'the keys at jwksUrl', keys),
  }
}

function logged(attestor: string, origin: string | undefined, log: AttestorParts['log']): KeyEvents {
  // Each reason once in a process: a key that is ignored stays so at every reading.
  const said = new Set<string>()
  return {
    ignored({ why }) {
      if (said.has(why)) return
      said.add(why)
      log.warn('attestor.key_ignored', { attestor, origin, note: `a published key is left out: ${why}` })
    },
    replaced: () => log.warn('attestor.keys_replaced', { attestor, origin, note: 'every key of the issuer is new' }),
    none: () => log.warn('attestor.keys_missing', { attestor, origin, note: 'no published key can be used' }),
    failed: (error) => log.warn('attestor.keys_unreachable', { attestor, origin, note: error.message }),
  }
}

async function checkFetched(what: string, keys: Pick<FetchedKeys, 'refresh'>): Promise<Finding[]> {
  try {
    return [keysFinding(what, await keys.refresh())]
  } catch (error) {
    if (error instanceof OutboundError) return [{ ok: false, what, detail: error.message }]
    if (error instanceof Refusal) return [{ ok: false, what, detail: wordsOf(error) }]
    throw error
  }
}

function keysFinding(what: string, { usable, ignored }: KeyList): Finding {
  const reasons = [...new Set(ignored.map(({ why }) => why))].join('; ')
  const left = ignored.length === 0 ? '' : `, ${ignored.length} left out (${reasons})`
  return { ok: usable > 0, what, detail: `${usable} usable${left}` }
}
