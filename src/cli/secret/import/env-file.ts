/**
 * A file of environment variables: NAME=value, `export` before it, comments, single quotes as they are, double quotes with
 * \n, \r, \t, \", \\ and \$ and over several lines. Nothing is expanded. What readers of such files disagree on is refused.
 */
import { usage } from '../place.ts'
import type { Data } from './source.ts'

const start = /[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*/y
const blank = /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y
const single = /'([^']*)'/y
const double = /"((?:[^"\\]|\\[^])*)"/y
const bare = /[^\r\n]*/y
const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' }

/** @throws CliError with the line, and nothing of it */
export function parseEnvFile(text: string, where: string): Data {
  const data: Data = {}
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const found = pattern.exec(text)
    if (!found) return undefined
    at = pattern.lastIndex
    return found
  }
  const wrong = (why: string): Error => usage(`${where}, line ${text.slice(0, at).split('\n').length}: ${why}`)

  function value(): string {
    const quoted = take(single)
    if (quoted) return quoted[1] ?? ''
    const text = take(double)
    if (text) return unescape(text[1] ?? '')
    const line = take(bare)?.[0] ?? ''
    if (/^['"]/.test(line)) throw wrong('a quote that is opened here is not closed')
    // To a shell a value, to others a comment and an empty value.
    if (line.startsWith('#')) throw wrong('is it a value? then put it in quotes; else put the comment on its own line')
    if (line.endsWith('\\')) throw wrong('a value over several lines must be in double quotes')
    return line.replace(/[ \t]+#.*$/, '').trimEnd()
  }
  function unescape(text: string): string {
    return text.replaceAll(/\\([^])/g, (_, one: string) => {
      const found = escapes[one]
      if (found === undefined) throw wrong('a backslash in double quotes that is no escape: use single quotes')
      return found
    })
  }

  while (at < text.length) {
    if (take(blank)) continue
    const [, name] = take(start) ?? []
    if (name === undefined) throw wrong('must be NAME=value, a comment, or empty')
    if (name === '__proto__') throw wrong('this name is of no use')
    if (Object.hasOwn(data, name)) throw wrong('this name is there already')
    data[name] = value()
    if (!take(blank)) throw wrong('something stands behind the closing quote')
  }
  return data
}
