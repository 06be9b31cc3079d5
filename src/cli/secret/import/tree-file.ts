/** JSON and YAML files: an object of paths, each with its value. */
import { LineCounter, isScalar, parseDocument, visit } from 'yaml'
import { isMembers } from '../../../json/members.ts'
import { objectOf } from '../value.ts'
import type { Source } from './source.ts'
import { usageError } from '../../io.ts'

export const parseJsonFile = (text: string, where: string): Record<string, unknown> => objectOf(text, where)

/**
 * Numbers and booleans must be written as in JSON: `0123`, `1e3` or `True` may be meant as text, and a password must not
 * change silently.
 * @throws CliError with the line number, and nothing of the text
 */
export function parseYamlFile(text: string, where: string): Record<string, unknown> {
  const lines = new LineCounter()
  const document = parseDocument(text, { uniqueKeys: true, lineCounter: lines, prettyErrors: false })
  const wrong = (offset: number, why: string): Error =>
    usageError(`${where}, line ${lines.linePos(offset).line}: ${why}`)
  const [fault] = [...document.errors, ...document.warnings]
  if (fault) throw wrong(fault.pos[0], `invalid YAML (${fault.code})`)
  visit(document, {
    Alias(_, node) {
      throw wrong(node.range?.[0] ?? 0, 'aliases are not supported: repeat the value')
    },
    Scalar(key, node) {
      const { value, source, range } = node
      if (typeof value === 'string' || (value === null && key === 'value' && source === '')) return
      if (JSON.stringify(value) === source) return
      throw wrong(range?.[0] ?? 0, 'ambiguous value: quote it if it is text, else write it as in JSON')
    },
    Pair(_, { key }) {
      if (!isScalar(key) || typeof key.value !== 'string') throw wrong(0, 'names must be text: quote them')
    },
  })
  const value: unknown = document.toJS({ maxAliasCount: 0 })
  if (!isMembers(value)) throw usageError(`${where} is not an object of paths, each with its value`)
  return value
}

/** @param tree paths and their values */
export function fromTree(where: string, tree: Record<string, unknown>): Source {
  return {
    where,
    names: () => Promise.resolve(Object.keys(tree)),
    values(name) {
      const value = tree[name]
      return Promise.resolve(
        isMembers(value) ? [value] : { refused: 'its value is not an object, such as { "password": … }' },
      )
    },
  }
}
