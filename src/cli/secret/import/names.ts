/** Maps source names to paths. An invalid path is refused with a proposal; nothing is renamed silently. */
import { NameError } from '../../../names/errors.ts'
import { parseSecretPath } from '../../../names/secret-path.ts'

export type Rules = { to: string; lower: boolean; renames: ReadonlyMap<string, string> }
export type Named = { from: string; path: string } | { from: string; refused: string }

function fault(path: string): string | undefined {
  try {
    parseSecretPath(path)
    return undefined
  } catch (error) {
    if (error instanceof NameError) return error.detail
    throw error
  }
}

const joinPath = (to: string, name: string): string => (to === '' ? name : `${to.replace(/\/+$/, '')}/${name}`)

function propose(path: string): string | undefined {
  const proposal = path
    .toLowerCase()
    .split('/')
    .map((part) => part.replaceAll(/[^a-z0-9._-]+/g, '-').replace(/^-+(?=.)|(?<=.)-+$/g, ''))
    .filter((part) => part !== '')
    .join('/')
  return fault(proposal) === undefined ? proposal : undefined
}

function nameTarget(from: string, { to, lower, renames }: Rules): Named {
  const path = renames.get(from) ?? joinPath(to, lower ? from.toLowerCase() : from)
  const wrong = fault(path)
  if (wrong === undefined) return { from, path }
  const proposal = propose(path)
  const lowered = fault(joinPath(to, from.toLowerCase())) === undefined ? '--rename-lower, or ' : ''
  const advice = proposal === undefined ? '' : `; ${lowered}--rename '${from}=${proposal}'`
  return { from, refused: `${wrong}${advice}` }
}

/** Refuses names that map to the same path: only the caller can choose. */
export function nameAll(names: readonly string[], rules: Rules): Named[] {
  const targets = names.map((name) => nameTarget(name, rules))
  const counts = new Map<string, string[]>()
  for (const target of targets) {
    if ('path' in target) counts.set(target.path, [...(counts.get(target.path) ?? []), target.from])
  }
  return targets.map((target) => {
    if (!('path' in target)) return target
    const { from, path } = target
    const others = (counts.get(path) ?? []).filter((name) => name !== from)
    if (others.length === 0) return target
    return { from, refused: `${path} would also come from ${others.join(', ')}; rename one with --rename` }
  })
}
