/** Three ways to tamper with the log, applied to a copy of its export. */
import { type Problem, type Receipt, entryLeaf, verifyExport } from '@purser/sdk/verify'

type Line = { epoch?: number; index?: number; entry?: string; nonce?: string; hashes?: string; first?: number }

const isLine = (value: unknown): value is Line => typeof value === 'object' && value !== null
function parseLine(text: string): Line {
  const line: unknown = JSON.parse(text)
  return isLine(line) ? line : {}
}

/** A changed copy of the lines: `change` returns the new line, or undefined to remove it. */
const copy = (lines: readonly string[], change: (line: Line, text: string) => string | undefined): string[] =>
  lines.flatMap((text) => change(parseLine(text), text) ?? [])

const editEntry = (entry: string): string => entry.replace('/stand-in/', '/stand-by/')

/** Changes an entry. */
export const edit = (lines: readonly string[], index: number): string[] =>
  copy(lines, (line, text) =>
    line.index === index && line.entry ? JSON.stringify({ ...line, entry: editEntry(line.entry) }) : text,
  )

/** Removes an entry. */
export const remove = (lines: readonly string[], index: number): string[] =>
  copy(lines, (line, text) => (line.index === index ? undefined : text))

/** Changes an entry and its hash in the tree. */
export function rewrite(lines: readonly string[], index: number): string[] {
  const changed = edit(lines, index)
  const { entry = '', nonce = '' } = parseLine(changed.find((text) => parseLine(text).index === index) ?? '{}')
  const leaf = entryLeaf(nonce, entry)
  return copy(changed, (line, text) => {
    if (line.hashes === undefined || line.first === undefined) return text
    const hashes = Buffer.from(line.hashes, 'base64')
    const at = (index - line.first) * leaf.length
    if (at < 0 || at >= hashes.length) return text
    hashes.set(leaf, at)
    return JSON.stringify({ ...line, hashes: hashes.toString('base64') })
  })
}

/** The first problem that the verifier finds, with keys and receipts from elsewhere. */
export async function firstProblem(
  lines: readonly string[],
  evidence: { vkeys: readonly string[]; receipts: readonly Receipt[] },
): Promise<Problem | undefined> {
  return (await verifyExport(lines, evidence)).problems[0]
}
