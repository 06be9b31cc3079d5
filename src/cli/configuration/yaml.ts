/**
 * Reads YAML or JSON as plain data. Anchors, aliases, merge keys, tags and directives are refused: a reviewer does not
 * see what they result in, and aliases can expand without end.
 */
import { Composer, type Document, LineCounter, Parser, isAlias, isMap, isNode, isScalar, isSeq } from 'yaml'

export type YamlDocument = {
  /** JSON; null for an empty document. */
  value: unknown
  /** The first line with content. */
  line: number
  /** The line of the member that a JSON pointer names, or of the nearest member above it. */
  lineOf: (pointer: string) => number
}

/** Text that is not valid, with its line. */
export class YamlFault extends Error {
  readonly line: number
  constructor(line: number, message: string) {
    super(message)
    this.name = 'YamlFault'
    this.line = line
  }
}

/** That of the server's JSON (json/strict.ts). */
const maxDepth = 32

/** One document after the other, so that memory holds one syntax tree. @throws YamlFault */
export function* readYaml(text: string): Generator<YamlDocument> {
  const lines = new LineCounter()
  const lineAt = (offset: number): number => lines.linePos(offset).line || 1
  // A duplicate member is found below: the library compares each pair of members.
  const composer = new Composer({ version: '1.2', uniqueKeys: false, prettyErrors: false })
  for (const document of composer.compose(tokens(text, lines))) {
    const [fault] = [...document.errors, ...document.warnings]
    if (fault) throw new YamlFault(lineAt(fault.pos[0]), wordsOf(fault.message))
    const value = plain(document.contents, lineAt, 0)
    yield {
      value,
      line: lineAt(offsetOf(document.contents) ?? 0),
      lineOf: (pointer) => lineAt(findOffset(document, pointer)),
    }
  }
}

function* tokens(text: string, lines: LineCounter) {
  for (const token of new Parser(lines.addNewLine).parse(text)) {
    if (token.type === 'directive') {
      throw new YamlFault(lines.linePos(token.offset).line, 'a directive is not allowed: remove the line with %')
    }
    yield token
  }
}

const wordsOf = (message: string): string =>
  message.includes('call stack') ? 'is nested too deeply' : message.replaceAll(/\s+/g, ' ')

type LineAt = (offset: number) => number

function plain(node: unknown, lineAt: LineAt, depth: number): unknown {
  if (node === null || node === undefined) return null
  const refuse = (why: string): never => {
    throw new YamlFault(lineAt(offsetOf(node) ?? 0), why)
  }
  if (depth > maxDepth) refuse(`is nested deeper than ${maxDepth} levels`)
  if (isAlias(node)) return refuse(`an alias (*${node.source}) is not allowed: repeat the value`)
  if (!isNode(node)) return refuse('is not YAML')
  if (node.anchor !== undefined) refuse(`an anchor (&${node.anchor}) is not allowed: remove it`)
  if (node.tag !== undefined) refuse(`a tag (${node.tag}) is not allowed: remove it`)
  if (isSeq(node)) return node.items.map((item) => plain(item, lineAt, depth + 1))
  if (isMap(node)) return members(node, lineAt, depth)
  if (!isScalar(node)) return refuse('is not YAML')
  if (typeof node.value === 'number' && !Number.isFinite(node.value)) refuse('is not a number of JSON')
  return node.value
}

function members(map: { items: readonly { key: unknown; value: unknown }[] }, lineAt: LineAt, depth: number) {
  const entries = new Map<string, unknown>()
  for (const { key, value } of map.items) {
    const name = plain(key, lineAt, depth)
    const refuse = (why: string): never => {
      throw new YamlFault(lineAt(offsetOf(key) ?? offsetOf(value) ?? 0), why)
    }
    if (typeof name !== 'string') return refuse('the name of a member must be text: quote it')
    if (name === '<<') refuse('a merge key (<<) is not allowed: repeat the members')
    if (entries.has(name)) refuse(`${JSON.stringify(name)} is there twice`)
    entries.set(name, plain(value, lineAt, depth + 1))
  }
  return Object.fromEntries(entries)
}

const offsetOf = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined)

function findOffset(document: Document, pointer: string): number {
  let node: unknown = document.contents
  let offset = offsetOf(node) ?? 0
  for (const step of pointer.split('/').slice(1)) {
    const name = step.replaceAll('~1', '/').replaceAll('~0', '~')
    if (isSeq(node)) {
      node = node.items[Number(name)]
      offset = offsetOf(node) ?? offset
    } else if (isMap(node)) {
      const pair = node.items.find(({ key }) => isScalar(key) && key.value === name)
      if (!pair) return offset
      offset = offsetOf(pair.key) ?? offset
      node = pair.value
    } else return offset
  }
  return offset
}
