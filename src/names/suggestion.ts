/** Suggests a known name for an unknown one. */

/** The Levenshtein distance, computed row by row. */
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

/** @returns `: did you mean X?`, or an empty text when no candidate is similar */
export function suggestion(name: string, candidates: Iterable<string>): string {
  const text = name.slice(0, 100).toLowerCase()
  let best: { name: string; edits: number } | undefined
  for (const candidate of candidates) {
    const edits = distance(text, candidate.toLowerCase())
    if (best === undefined || edits < best.edits) best = { name: candidate, edits }
  }
  return best !== undefined && best.edits <= Math.max(2, text.length / 4) ? `: did you mean ${best.name}?` : ''
}
