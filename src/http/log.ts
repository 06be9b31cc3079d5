/** What anyone may read of the log: its heads, its hashes by tile, and the keys that sign it. Every epoch stays readable. */
import type { EpochView, Epochs } from '../audit/epochs.ts'
import { TILE_WIDTH, parseTilePath } from '../audit/tiles.ts'
import { refuse } from '../errors.ts'
import type { Database } from '../store/database.ts'
import { readLeaves } from '../store/log.ts'
import { logKeysOf } from './log-keys.ts'
import { publicHeaders } from './public.ts'
import { type Reply, json } from './request.ts'
import type { Read } from './route.ts'

export type LogParts = {
  db: Pick<Database, 'knex'>
  epochs: Epochs
  /** Seconds that readers may keep the list of keys. */
  refresh: number
}

const forever = { ...publicHeaders(31_536_000), 'cache-control': 'public, max-age=31536000, immutable' }

export function createLogRoutes({ db, epochs, refresh }: LogParts): Record<'checkpoint' | 'tile' | 'keys', Read> {
  async function viewOf(epoch: string | undefined): Promise<EpochView> {
    const view = await epochs.view(Number(epoch))
    if (!view) throw refuse('not_found')
    return view
  }

  async function entriesTile({ epoch, size }: EpochView, first: number, width: number): Promise<Buffer | undefined> {
    if (first + width > size) return undefined
    const commitments = await readLeaves(db.knex, epoch, first, first + width)
    return Buffer.concat(commitments.flatMap((commitment) => [Buffer.from([0, commitment.length]), commitment]))
  }

  return {
    checkpoint: async ({ params }) => ({
      headers: publicHeaders(2),
      body: { text: (await viewOf(params.epoch)).note, type: 'text/plain; charset=utf-8' },
    }),

    /** C2SP tlog-tiles: hashes by tile, and under `entries/` the 32-byte commitments behind a two-byte length. */
    async tile({ params }): Promise<Reply> {
      const view = await viewOf(params.epoch)
      const path = parseTilePath(`tile/${params.tilePath ?? ''}`)
      if (!path) throw refuse('not_found')
      const bytes =
        path.level === 'entries'
          ? await entriesTile(view, path.index * TILE_WIDTH, path.width)
          : await view.tree.tile(path.level, path.index, path.width)
      if (!bytes) throw refuse('not_found')
      return { headers: forever, body: { bytes, type: 'application/octet-stream' } }
    },

    async keys(_, snapshot) {
      const keys = logKeysOf(snapshot).map(({ row, epoch, vkey }) => {
        return { vkey, epoch, from: row.fromSize ?? 0, ...(row.toSize !== undefined && { to: row.toSize }) }
      })
      return json({ keys }, { headers: publicHeaders(refresh) })
    },
  }
}
