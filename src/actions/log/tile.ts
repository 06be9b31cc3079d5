import type { EpochView, Epochs } from '../../audit/epochs.ts'
import { TILE_WIDTH, parseTilePath } from '../../audit/tiles.ts'
import { refuse } from '../../errors.ts'
import type { Database } from '../../store/database.ts'
import { readLeaves } from '../../store/log.ts'

type TileParts = { db: Pick<Database, 'knex'>; epochs: Epochs }

/** Every epoch stays readable. @throws Refusal `not_found` */
export async function publicView(epochs: Epochs, epoch: number): Promise<EpochView> {
  const view = await epochs.view(epoch)
  if (!view) throw refuse('not_found')
  return view
}

/** C2SP tlog-tiles: hashes by tile, and under `entries/` the 32-byte commitments behind a two-byte length. */
export const readTile =
  ({ db, epochs }: TileParts) =>
  async (epoch: number, tilePath: string): Promise<Buffer> => {
    const { size, tree } = await publicView(epochs, epoch)
    const path = parseTilePath(`tile/${tilePath}`)
    if (!path) throw refuse('not_found')
    const { level, index, width } = path
    const first = index * TILE_WIDTH
    if (level === 'entries' && first + width <= size) {
      const commitments = await readLeaves(db.knex, epoch, first, first + width)
      return Buffer.concat(commitments.flatMap((commitment) => [Buffer.from([0, commitment.length]), commitment]))
    }
    const tile = level === 'entries' ? undefined : await tree.tile(level, index, width)
    if (!tile) throw refuse('not_found')
    return tile
  }
