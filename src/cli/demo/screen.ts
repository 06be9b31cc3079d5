/** The output of the demo: aligned lines, each a fact or the result of a check. */
import type { Io } from '../io.ts'
import { createStyle, printable } from '../output.ts'

export type Screen = ReturnType<typeof createScreen>

const columnWidth = 16

export function createScreen(io: Pick<Io, 'stdout' | 'env'>) {
  const style = createStyle(io)
  let failures = 0
  let checks = 0
  const write = (text: string): void => void io.stdout.write(`${text}\n`)
  const cells = (what: string, outcome: string): string =>
    `${printable(what).padEnd(columnWidth)} ${printable(outcome)}`.trimEnd()

  function mark(holds: boolean, what: string, outcome: string): void {
    write(`  ${holds ? style('green', 'ok  ') : style('red', 'FAIL')} ${cells(what, outcome)}`)
  }
  function count(holds: boolean): void {
    checks += 1
    if (!holds) failures += 1
  }

  return {
    title: (text: string) => write(`\n${style('bold', text)}`),
    line: (text = '') => write(text),
    /** A row with the result of a check. */
    check(holds: boolean, what: string, outcome: string): void {
      count(holds)
      mark(holds, what, outcome)
    },
    /** A check that prints only a failure. */
    require(holds: boolean, otherwise: string): void {
      count(holds)
      if (!holds) mark(false, 'but', otherwise)
    },
    failures: () => failures,
    checks: () => checks,
  }
}
