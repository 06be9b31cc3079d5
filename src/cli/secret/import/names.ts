/** Names of elsewhere → paths here. What is no path is refused with a proposal: nothing gets another name unasked. */
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

const joined = (to: string, name: string): string => (to === '' ? name : `${to.replace(/\/+$/, '')}/${name}`)

function propose(path: string): string | undefined {
  const proposal = path
    .toLowerCase()
    .split('/')
    .map((part) => part.replaceAll(/[^a-z0-9._-]+/g, '-').replace(/^-+(?=.)|(?<=.)-+$/g, ''))
    .filter((one) => one !== '')
    .join('/')
  return fault(proposal) === undefined ? proposal : undefined
}

function nameOne(from: string, { to, lower, renames }: Rules): Named {
  const given = renames.get(from)
  const path = given ?? joined(to, lower ? from.toLowerCase() : from)
  const wrong = fault(path)
  if (wrong === undefined) return { from, path }
  const proposal = propose(path)
  const lowered = fault(joined(to, from.toLowerCase())) === undefined ? '--rename-lower, or ' : ''
  const advice = proposal === undefined ? '' : `; ${lowered}--rename '${from}=${proposal}'`
  return { from, refused: `${wrong}${advice}` }
}

/** Two names that come to one path are both refused: which one counts is not for us to say. */
export function nameAll(names: readonly string[], rules: Rules): Named[] {
  const named = names.map((name) => nameOne(name, rules))
  const counts = new Map<string, string[]>()
  for (const one of named) if ('path' in one) counts.set(one.path, [...(counts.get(one.path) ?? []), one.from])
  return named.map((one) => {
    const same = 'path' in one ? (counts.get(one.path) ?? []) : []
    if (same.length < 2 || !('path' in one)) return one
    const others = same.filter((name) => name !== one.from).join(', ')
    return {
      from: one.from,
      refused: `${one.path} would come from ${others} as well; give one another name by --rename`,
    }
  })
}
