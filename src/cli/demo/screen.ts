/** The demo's screen: short aligned lines, each either a fact or something that was checked. */
import type { Io } from '../io.ts'
import { createStyle, printable } from '../output.ts'

export type Screen = {
  title(text: string): void
  line(text?: string): void
  /** A row of the step: whether it holds, what, and what came of it. */
  check(holds: boolean, what: string, outcome: string): void
  /** For what was shown in lines of another form: silent where it holds. */
  require(holds: boolean, otherwise: string): void
  failures(): number
  checks(): number
}

const widest = 16

export function createScreen(io: Pick<Io, 'stdout' | 'env'>): Screen {
  const style = createStyle(io)
  let failures = 0
  let checks = 0
  const write = (text: string): void => void io.stdout.write(`${text}\n`)
  const cells = (what: string, outcome: string): string =>
    `${printable(what).padEnd(widest)} ${printable(outcome)}`.trimEnd()

  function mark(holds: boolean, what: string, outcome: string): void {
    write(`  ${holds ? style('green', 'ok  ') : style('red', 'FAIL')} ${cells(what, outcome)}`)
  }
  function count(holds: boolean): void {
    checks += 1
    if (!holds) failures += 1
  }

  return {
    title: (text) => write(`\n${style('bold', text)}`),
    line: (text = '') => write(text),
    check(holds, what, outcome) {
      count(holds)
      mark(holds, what, outcome)
    },
    require(holds, otherwise) {
      count(holds)
      if (!holds) mark(false, 'but', otherwise)
    },
    failures: () => failures,
    checks: () => checks,
  }
}
