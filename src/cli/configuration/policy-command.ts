/** `purser policy test`: runs the policy tests that are kept beside the files. */
import type { Command } from 'commander'
import { CliError, type Io, usageError } from '../io.ts'
import { repeated } from '../options.ts'
import { createStyle, printable, show } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { createCounter } from './counter.ts'
import { type TestResult, runPolicyTest } from './policy-test.ts'
import { readConfiguration } from './read.ts'

export function addPolicy(program: Command, io: Io): void {
  const group = program.command('policy').summary('test what callers may have, and may not have')
  addVerb(group, io, {
    usage: 'test',
    summary: 'run policy tests against the live policy',
    description:
      'Runs each document of kind policy-test: the server explains what the caller would get, and issues nothing. Exit code 1 if a test fails.',
    options: (command) =>
      command.requiredOption('-f, --file <path>', 'YAML file, or folder with YAML files; - for stdin', repeated),
    examples: ['purser policy test -f purser/'],
    run: async (api, { file, ...flags }: VerbFlags & { file: string[] }) => {
      const { tests } = await readConfiguration(io, file)
      if (tests.length === 0) throw usageError(`${file.join(', ')}: there is no document of kind policy-test`)
      const items: TestResult[] = []
      const counter = createCounter(io, 'tested', tests.length)
      for (const test of tests) {
        items.push(await runPolicyTest(api, test))
        counter.count()
      }
      counter.end()
      const failed = items.filter(({ ok }) => !ok).length
      show(io, flags, { passed: items.length - failed, failed, items }, () => formatResults(io, items))
      if (failed > 0) throw new CliError(`${failed} of ${items.length} policy tests failed`)
    },
  })
}

function formatResults(io: Io, items: readonly TestResult[]): string {
  const style = createStyle(io)
  return items
    .flatMap(({ name, place, ok, faults }) => [
      `${style(ok ? 'green' : 'red', ok ? 'ok  ' : 'FAIL')}  ${printable(`${place}: ${name}`)}`,
      ...faults.map((fault) => `      ${printable(fault)}`),
    ])
    .map((line) => `${line}\n`)
    .join('')
}
