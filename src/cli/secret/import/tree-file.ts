/** JSON and YAML files: paths, each with the object that is its value. */
import { LineCounter, isScalar, parseDocument, visit } from 'yaml'
import { isMembers } from '../../../json/members.ts'
import { objectOf } from '../given.ts'
import { usage } from '../place.ts'
import type { Source } from './source.ts'

export const parseJsonFile = (text: string, where: string): Record<string, unknown> => objectOf(text, where)

/**
 * Numbers and truth values must read as JSON would write them: of `0123`, `1e3` or `True` nobody knows whether they were
 * meant as text, and a password that changes on its way is found too late.
 * @throws CliError with the line, and nothing of it
 */
export function parseYamlFile(text: string, where: string): Record<string, unknown> {
  const lines = new LineCounter()
  const document = parseDocument(text, { uniqueKeys: true, lineCounter: lines, prettyErrors: false })
  const wrong = (offset: number, why: string): Error => usage(`${where}, line ${lines.linePos(offset).line}: ${why}`)
  const [fault] = [...document.errors, ...document.warnings]
  if (fault) throw wrong(fault.pos[0], `is no YAML that can be kept (${fault.code})`)
  visit(document, {
    Alias(_, node) {
      throw wrong(node.range?.[0] ?? 0, 'aliases are not followed: write the value out')
    },
    Scalar(key, node) {
      const { value, source, range } = node
      if (typeof value === 'string' || (value === null && key === 'value' && source === '')) return
      if (JSON.stringify(value) === source) return
      throw wrong(range?.[0] ?? 0, 'is it text? then put it in quotes; else write it as JSON does')
    },
    Pair(_, { key }) {
      if (!isScalar(key) || typeof key.value !== 'string') throw wrong(0, 'names must be text: put them in quotes')
    },
  })
  const value: unknown = document.toJS({ maxAliasCount: 0 })
  if (!isMembers(value)) throw usage(`${where} must hold an object: paths, each with its value`)
  return value
}

/** @param tree paths and their values */
export function fromTree(where: string, tree: Record<string, unknown>): Source {
  return {
    where,
    names: () => Promise.resolve(Object.keys(tree)),
    values(name) {
      const value = tree[name]
      return Promise.resolve(isMembers(value) ? [value] : { refused: 'its value is no object: { "password": … }' })
    },
  }
}
