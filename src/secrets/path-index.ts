/**
 * The sorted paths of all secrets. A list visits only the ranges that its caller is granted: its cost depends on what is
 * granted and shown, not on all secrets.
 */
import { setImmediate as nextTurn } from 'node:timers/promises'

export type PathIndex = readonly string[]

/** Keeps the index of one map. Sorting an almost sorted array takes one pass. */
export function createPathIndex(): (secrets: ReadonlyMap<string, unknown>) => PathIndex {
  let indexed: ReadonlyMap<string, unknown> = new Map()
  let paths: string[] = []
  return (secrets) => {
    if (secrets === indexed) return paths
    const remaining = paths.filter((path) => secrets.has(path))
    const added = [...secrets.keys()].filter((path) => !indexed.has(path))
    indexed = secrets
    paths = [...remaining, ...added].sort(byBytes)
    return paths
  }
}

const byBytes = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0)

/** The first position whose path is not less than `text`. */
function positionOf(paths: PathIndex, text: string): number {
  let [low, high] = [0, paths.length]
  while (low < high) {
    const middle = (low + high) >> 1
    if ((paths[middle] ?? '') < text) low = middle + 1
    else high = middle
  }
  return low
}

/** Paths visited before other work gets a turn of the event loop. */
const maxWithoutTurn = 500

export type PathQuery = {
  /** Each path that the caller is granted begins with one of these. */
  roots: readonly string[]
  prefix: string
  /** The last path of the page before. */
  after: string | undefined
  max: number
  may: (path: string) => boolean
}

/** The next paths in their order, at most `max`. */
export async function findPaths(paths: PathIndex, { roots, prefix, after, max, may }: PathQuery): Promise<string[]> {
  const matches: string[] = []
  let visited = 0
  for (const root of rangesOf(roots, prefix)) {
    const start = positionOf(paths, root)
    // The page before showed `after` itself.
    const next = after === undefined ? 0 : positionOf(paths, after + '\0')
    for (let n = Math.max(start, next); n < paths.length && matches.length < max; n++) {
      const path = paths[n] ?? ''
      if (!path.startsWith(root)) break
      if (may(path)) matches.push(path)
      if (++visited % maxWithoutTurn === 0) await nextTurn()
    }
  }
  return matches
}

/** The intersections of roots and prefix, sorted, none within another. */
function rangesOf(roots: readonly string[], prefix: string): string[] {
  const ranges = roots.flatMap((root) => (root.startsWith(prefix) ? [root] : prefix.startsWith(root) ? [prefix] : []))
  return [...new Set(ranges)]
    .sort(byBytes)
    .filter((range, n, all) => !all.some((other, m) => m < n && range.startsWith(other)))
}
