/** "did you mean …", for a name that nothing reads. */

/** Levenshtein's distance, one row at a time. */
function distance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j)
  for (let i = 1; i <= a.length; i++) {
    const next = [i]
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1)
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1))
    }
    row = next
  }
  return row[b.length] ?? 0
}

/** @returns `: did you mean X?`, or nothing when no name is near */
export function suggestion(name: string, known: Iterable<string>): string {
  const given = name.slice(0, 100).toLowerCase()
  let best: { name: string; distance: number } | undefined
  for (const candidate of known) {
    const far = distance(given, candidate.toLowerCase())
    if (best === undefined || far < best.distance) best = { name: candidate, distance: far }
  }
  return best !== undefined && best.distance <= Math.max(2, given.length / 4) ? `: did you mean ${best.name}?` : ''
}
