/**
 * Parses a file of environment variables: NAME=value, optionally after `export`, and comments. Single quotes are literal;
 * double quotes allow \n, \r, \t, \", \\, \$ and several lines. Nothing is expanded, and ambiguous syntax is refused.
 */
import type { Data } from './source.ts'
import { usageError } from '../../io.ts'

const start = /[ \t]*(?:export[ \t]+)?([A-Za-z_][A-Za-z0-9_.-]*)[ \t]*=[ \t]*/y
const blank = /[ \t]*(?:#[^\n]*)?(?:\r?\n|$)/y
const single = /'([^']*)'/y
const double = /"((?:[^"\\]|\\[^])*)"/y
const bare = /[^\r\n]*/y
const escapes: Record<string, string> = { n: '\n', r: '\r', t: '\t', '"': '"', '\\': '\\', $: '$' }

/** @throws CliError with the line number, and nothing of the text */
export function parseEnvFile(text: string, where: string): Data {
  const data: Data = {}
  let at = 0
  const take = (pattern: RegExp): RegExpExecArray | undefined => {
    pattern.lastIndex = at
    const match = pattern.exec(text)
    if (!match) return undefined
    at = pattern.lastIndex
    return match
  }
  const wrong = (why: string): Error => usageError(`${where}, line ${text.slice(0, at).split('\n').length}: ${why}`)

  function value(): string {
    const quoted = take(single)
    if (quoted) return quoted[1] ?? ''
    const text = take(double)
    if (text) return unescape(text[1] ?? '')
    const line = take(bare)?.[0] ?? ''
    if (/^['"]/.test(line)) throw wrong('the quote is not closed')
    // A shell reads a value here, other readers an empty value and a comment.
    if (line.startsWith('#')) throw wrong('# is ambiguous here: quote the value, or put the comment on its own line')
    if (line.endsWith('\\')) throw wrong('a value over several lines needs double quotes')
    return line.replace(/[ \t]+#.*$/, '').trimEnd()
  }
  function unescape(text: string): string {
    return text.replaceAll(/\\([^])/g, (_, character: string) => {
      const escaped = escapes[character]
      if (escaped === undefined) throw wrong('unknown escape in double quotes: use single quotes')
      return escaped
    })
  }

  while (at < text.length) {
    if (take(blank)) continue
    const [, name] = take(start) ?? []
    if (name === undefined) throw wrong('expected NAME=value, a comment, or an empty line')
    if (name === '__proto__') throw wrong('the name __proto__ cannot be used')
    if (Object.hasOwn(data, name)) throw wrong('the name is used twice')
    data[name] = value()
    if (!take(blank)) throw wrong('unexpected text after the closing quote')
  }
  return data
}
