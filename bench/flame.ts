/**
 * `node --import tsx bench/flame.ts PROFILE.cpuprofile > flame.svg`: draws a CPU profile of a server (`--profile`) as a
 * flame graph. Frames of one package or folder are one box, callers are below what they call. Idle time and the start of
 * the process are left out.
 */
import { readFileSync } from 'node:fs'

type CallFrame = { functionName: string; url: string }
type ProfileNode = { id: number; callFrame: CallFrame; children?: number[] }
/** The format of V8 (Chrome DevTools protocol, Profiler.Profile); times in microseconds. */
type Profile = { nodes: ProfileNode[]; samples: number[]; timeDeltas: number[] }
type Box = { name: string; micros: number; children: Map<string, Box> }

const file = process.argv[2]
if (file === undefined) {
  process.stderr.write('name a .cpuprofile file: node --import tsx bench/flame.ts PROFILE.cpuprofile > flame.svg\n')
  process.exit(1)
}
/** Seconds at the beginning in which the server loads its code. */
const skippedSeconds = Number(process.argv[3] ?? 10)

const width = 1200
const rowHeight = 18
const minWidth = 1.5

/** Names of packages and of Purser's folders say more at this scale than functions. */
function boxName({ functionName, url }: CallFrame): string {
  const dependency = /node_modules\/((?:@[^/]+\/)?[^/]+)/.exec(url)?.[1]
  if (dependency !== undefined) return dependency
  const own = /\/(?:dist\/)?src\/(.+?)\.[jt]s$/.exec(url)?.[1]
  if (own !== undefined) return `${own}: ${functionName || 'anonymous'}`
  if (url.startsWith('node:')) return url
  return functionName || 'native'
}

function readBoxes({ nodes, samples, timeDeltas }: Profile): Box {
  const byId = new Map(nodes.map((node) => [node.id, node]))
  const parentOf = new Map(nodes.flatMap(({ id, children = [] }) => children.map((child) => [child, id] as const)))
  function pathOf(id: number): string[] {
    const names: string[] = []
    for (let at: number | undefined = id; at !== undefined; at = parentOf.get(at)) {
      const node = byId.get(at)
      const name = node && boxName(node.callFrame)
      if (name !== undefined && names[0] !== name) names.unshift(name)
    }
    return names.slice(1)
  }
  const root: Box = { name: 'all', micros: 0, children: new Map() }
  let elapsed = 0
  samples.forEach((id, n) => {
    const micros = timeDeltas[n] ?? 0
    elapsed += micros
    const path = pathOf(id)
    if (elapsed < skippedSeconds * 1e6 || path.at(-1) === '(idle)') return
    let box = root
    box.micros += micros
    for (const name of path) {
      const next = box.children.get(name) ?? { name, micros: 0, children: new Map<string, Box>() }
      next.micros += micros
      box.children.set(name, next)
      box = next
    }
  })
  return root
}

const escaped = (text: string): string => text.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`)

/** A stable color for each package, folder or function. */
function colorOf(name: string): string {
  let hash = 0
  for (const character of name.split(/[:/]/)[0] ?? '') hash = (hash * 31 + character.charCodeAt(0)) % 360
  return `hsl(${hash}, 55%, 75%)`
}

function draw(root: Box): string {
  const shapes: string[] = []
  let depth = 0
  function place(box: Box, x: number, level: number): void {
    const boxWidth = (box.micros / root.micros) * width
    if (boxWidth < minWidth) return
    depth = Math.max(depth, level)
    const share = `${((box.micros / root.micros) * 100).toFixed(1)} %`
    const label = box.name.length * 6.2 < boxWidth - 6 ? box.name : ''
    shapes.push(
      `<g><title>${escaped(box.name)}: ${share}</title><rect x="${x.toFixed(1)}" y="${-(level + 1) * rowHeight}" width="${boxWidth.toFixed(1)}" height="${rowHeight - 1}" fill="${colorOf(box.name)}"/>` +
        (label && `<text x="${(x + 3).toFixed(1)}" y="${-level * rowHeight - 5}">${escaped(label)}</text>`) +
        '</g>',
    )
    let next = x
    for (const child of [...box.children.values()].toSorted((a, b) => b.micros - a.micros)) {
      place(child, next, level + 1)
      next += (child.micros / root.micros) * width
    }
  }
  place(root, 0, 0)
  const height = (depth + 1) * rowHeight
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 ${-height} ${width} ${height}" font-family="monospace" font-size="10">\n${shapes.join('\n')}\n</svg>\n`
}

process.stdout.write(draw(readBoxes(JSON.parse(readFileSync(file, 'utf8')))))
