// Paths of the log's tiles (C2SP tlog-tiles): `tile/<L>/<N>[.p/<W>]`. For commitments, L is `entries`.

/** Hashes in a full tile. */
export const TILE_WIDTH = 256
/** Levels of the tree that one tile spans. */
export const TILE_HEIGHT = 8
export const HASH_BYTES = 32
export const TILE_BYTES = TILE_WIDTH * HASH_BYTES

/** `level` is 'entries' for commitments; `width` is 256 for a full tile. */
export type TilePath = { level: number | 'entries'; index: number; width: number }

/** The path of a tile, from `tile/` on: index 1234067 is `x001/x234/067`. */
export function formatTilePath({ level, index, width }: TilePath): string {
  const groups = [String(index % 1000).padStart(3, '0')]
  for (let rest = Math.floor(index / 1000); rest > 0; rest = Math.floor(rest / 1000)) {
    groups.unshift(`x${String(rest % 1000).padStart(3, '0')}`)
  }
  return `tile/${level}/${groups.join('/')}${width === TILE_WIDTH ? '' : `.p/${width}`}`
}

/** Parses the path of a tile, from `tile/` on. Every tile has exactly one path. Returns undefined for any other text. */
export function parseTilePath(path: string): TilePath | undefined {
  const [, levelText, groups, widthText] =
    /^tile\/(entries|0|[1-9][0-9]?)\/((?:x[0-9]{3}\/){0,5}[0-9]{3})(?:\.p\/([1-9][0-9]{0,2}))?$/.exec(path) ?? []
  if (levelText === undefined || groups === undefined) return undefined
  const level = levelText === 'entries' ? 'entries' : Number(levelText)
  const index = Number(groups.replaceAll(/[x/]/g, ''))
  const width = widthText === undefined ? TILE_WIDTH : Number(widthText)
  if (level !== 'entries' && level > 63) return undefined
  if (!Number.isSafeInteger(index) || (widthText !== undefined && width >= TILE_WIDTH)) return undefined
  const tile: TilePath = { level, index, width }
  // Leading groups of zeros would be a second path of the same tile.
  return formatTilePath(tile) === path ? tile : undefined
}
