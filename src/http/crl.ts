import type { Actions } from '../actions/actions.ts'
import type { Snapshots } from '../store/snapshot.ts'
import { freshSnapshot } from '../actions/freshness.ts'
import { hasCopy } from './preconditions.ts'
import { publicHeaders } from './public.ts'
import { notModified } from './request.ts'
import type { Read } from './route-kinds.ts'

export type CrlRouteParts = {
  actions: { keys: Pick<Actions['keys'], 'crl'> }
  /** Seconds for which clients may cache keys and bundle. */
  refresh: number
  now: () => Date
  snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>
}

/** Seconds. A CRL that leaves the server is valid for longer, whatever `refresh` is. */
const maxAge = 60
/** The first request after a while reads every row of a key. Milliseconds. */
const slowMs = 500

/** The whole CRL of a key, or the one of a shard. */
export function createCrlRoute({ actions, refresh, now, snapshots }: CrlRouteParts): Read {
  const currentCrl = async (name: { keyId: string; shard?: number }) =>
    actions.keys.crl(await freshSnapshot(snapshots), name, now())

  return async (request) => {
    const headers = publicHeaders(Math.min(refresh, maxAge))
    const { keyId = '', shard } = request.params
    const name = { keyId, ...(shard !== undefined && { shard: Number(shard) }) }
    const startedAt = performance.now()
    let current = await currentCrl(name)
    // A revocation during a slow read would be missing for longer than a replica may lag.
    if (performance.now() - startedAt > slowMs) current = await currentCrl(name)
    // Each server signs its own bytes over the same entries, so the tag is a weak one (RFC 9110 section 8.8.1).
    if (hasCopy(request, current.tag)) return notModified({ ...headers, etag: `W/"${current.tag}"` })
    const { tag, der } = await current.read()
    return { headers: { ...headers, etag: `W/"${tag}"` }, body: { bytes: der, type: 'application/pkix-crl' } }
  }
}
