/** The keys of one attestor: inline, at a URL, or found by discovery. Changes of fetched keys go to the server log. */
import { Refusal } from '../errors.ts'
import { OutboundError } from '../outbound/errors.ts'
import { type AttestorParts, type Finding, type KeysDefinition, describeRefusal } from './attestor.ts'
import { type FetchedKeys, type KeyEvents, createFetchedKeys } from './fetched-keys.ts'
import { type KeyList, type KeySet, createKeySet } from './key-set.ts'
import { type Place, discover, originOf, readJwks } from './key-source.ts'

type Parts = AttestorParts & {
  definition: KeysDefinition
  issuer: string
  /** The algorithms of the definition. */
  allowedAlgorithms: readonly string[] | undefined
  places: readonly Place[]
  /** The paths of an API server: of its discovery document, and of its keys. */
  document?: string
  fallback?: string
}

export type IssuerKeys = KeySet & { check(): Promise<Finding[]> }

const day = 24 * 3600

export function openKeys(name: string, parts: Parts): IssuerKeys {
  const { definition, outbound, places, allowedAlgorithms } = parts
  const { jwks, jwksUrl: url } = definition
  if (jwks) {
    const list = createKeySet(jwks.keys, allowedAlgorithms)
    return {
      find: async (kid, alg) => (await list).find(kid, alg),
      check: async () => [keysFinding('the inline keys', await list)],
    }
  }
  const keys = createFetchedKeys({
    source: () => (url === undefined ? discover(outbound, parts, places) : readJwks(outbound, url, places)),
    clock: parts.clock,
    keepSeconds: parts.keepKeysSeconds ?? day,
    allowedAlgorithms,
    events: logEvents(name, originOf(url ?? parts.document ?? parts.issuer), parts.log),
  })
  return {
    find: (kid, alg) => keys.find(kid, alg),
    check: () => checkFetched(url === undefined ? 'discovery and keys' : 'the keys at jwksUrl', keys),
  }
}

function logEvents(attestor: string, origin: string | undefined, log: AttestorParts['log']): KeyEvents {
  // Each reason once, since a key that is ignored is ignored at every fetch.
  const loggedReasons = new Set<string>()
  return {
    ignored({ why }) {
      if (loggedReasons.has(why)) return
      loggedReasons.add(why)
      log.warn('attestor.key_ignored', { attestor, origin, note: `a published key is left out: ${why}` })
    },
    replaced: () => log.warn('attestor.keys_replaced', { attestor, origin, note: 'every key of the issuer is new' }),
    unusable: () => log.warn('attestor.keys_missing', { attestor, origin, note: 'no published key can be used' }),
    failed: (error) => log.warn('attestor.keys_unreachable', { attestor, origin, note: error.message }),
  }
}

async function checkFetched(what: string, keys: Pick<FetchedKeys, 'reload'>): Promise<Finding[]> {
  try {
    return [keysFinding(what, await keys.reload())]
  } catch (error) {
    if (error instanceof OutboundError) return [{ ok: false, what, detail: error.message }]
    if (error instanceof Refusal) return [{ ok: false, what, detail: describeRefusal(error) }]
    throw error
  }
}

function keysFinding(what: string, { usable, ignored }: KeyList): Finding {
  const reasons = [...new Set(ignored.map(({ why }) => why))].join('; ')
  const rest = ignored.length === 0 ? '' : `, ${ignored.length} left out (${reasons})`
  return { ok: usable > 0, what, detail: `${usable} usable${rest}` }
}
