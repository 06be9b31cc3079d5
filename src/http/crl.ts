import type { Actions } from '../actions/actions.ts'
import type { Snapshots } from '../store/snapshot.ts'
import { freshSnapshot } from '../actions/freshness.ts'
import { publicHeaders } from './public.ts'
import type { Read } from './route-kinds.ts'

export type CrlRouteParts = {
  actions: { keys: Pick<Actions['keys'], 'crl'> }
  /** Seconds for which clients may cache keys and bundle. */
  refresh: number
  now: () => Date
  snapshots: Pick<Snapshots, 'current' | 'age' | 'refresh'>
}

export const createCrlRoute =
  ({ actions, refresh, now, snapshots }: CrlRouteParts): Read =>
  async ({ params }) => {
    const bytes = await actions.keys.crl(await freshSnapshot(snapshots), params.keyId ?? '', now())
    return { headers: publicHeaders(Math.min(refresh, 60)), body: { bytes, type: 'application/pkix-crl' } }
  }
