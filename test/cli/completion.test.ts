/** The suggestions of a shell after TAB: from the declarations of the verbs, by a script that a real bash runs. */
import { expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { openPage } from '../support/page.ts'
import { runShell } from '../support/shell.ts'

const complete = async (...words: string[]): Promise<string[]> => {
  const { code, out, err } = await cli(['completion', 'bash', '--', ...words])
  expect({ code, err }).toEqual({ code: 0, err: '' })
  return out.split('\n').slice(0, -1)
}
const wordsOf = async (...words: string[]): Promise<string[]> =>
  (await complete(...words)).map((line) => line.split('\t')[0] ?? '')

it.each([
  ['verbs of a noun', ['workload', 'cre'], ['create']],
  ['and of its plural', ['workloads', 'lis'], ['list']],
  ['verbs below a verb', ['secret', 'rotation', 'ho'], ['hold']],
  ['options', ['revoke', '--bec'], ['--because']],
  ['options after a value', ['workload', 'list', '-o', 'json', '--ou'], ['--output']],
  ['choices of an option', ['workload', 'list', '-o', ''], ['table', 'json', 'yaml']],
  ['choices of an argument', ['keys', 'rotate', 'j'], ['jwt']],
  ['no words of another command', ['exec', '--', 'wor'], []],
  ['nothing where a name is next', ['workload', 'get', ''], []],
  ['nothing for unknown words', ['nothing', 'here', ''], []],
])('offers %s', async (_, words, expected) => {
  expect(await wordsOf(...words)).toEqual(expected)
})

it('offers every visible command with its summary', async () => {
  const lines = await complete('')
  expect(lines).toContain('workload\tregister workloads: how they are recognized, and what they may have')
  expect(lines.every((line) => /^[a-z-]+\t\S/.test(line))).toBe(true)
})

it('completes in bash, and leaves file names to it', async () => {
  const page = openPage('cli.md')
  const complete = (line: string): string =>
    `COMP_WORDS=(${line}); COMP_CWORD=$(( \${#COMP_WORDS[@]} - 1 )); _purser; echo "\${COMPREPLY[*]}"`
  const script = [
    page.path,
    'source <(purser completion bash)',
    'complete -p purser',
    complete('purser work'),
    complete('purser workload list -o ""'),
    complete('purser workload apply -f wo'),
  ]
  const { code, out, err } = await runShell('bash', ['-eu', '-c', script.join('\n')])
  page.remove()
  expect({ code, out, err }).toEqual({
    code: 0,
    out: 'complete -o default -F _purser purser\nworkload\ntable json yaml\n\n',
    err: '',
  })
})

it.each(['bash', 'zsh', 'fish'])('prints a script for %s, which calls the command', async (shell) => {
  const { code, out } = await cli(['completion', shell])
  expect(code).toBe(0)
  expect(out).toContain(`purser completion ${shell} -- `)
})
