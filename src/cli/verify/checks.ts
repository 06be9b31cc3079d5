/** What was looked at, one line each, and what came of it. */
import { type Style, printable, table } from '../output.ts'

type Check = {
  check: string
  /** `skipped`: it could not be told, and the detail says why. */
  state: 'ok' | 'failed' | 'skipped'
  detail: string
}

/** Runs on after a failure: who looks for one mistake wants to see the others too. */
export type Checks = {
  all: Check[]
  ok(check: string, detail: string): void
  failed(check: string, detail: string): void
  skipped(check: string, detail: string): void
  /** Whether nothing failed so far. */
  sound(): boolean
}

export function createChecks(): Checks {
  const all: Check[] = []
  const add = (state: Check['state']) => (check: string, detail: string) => void all.push({ check, state, detail })
  return {
    all,
    ok: add('ok'),
    failed: add('failed'),
    skipped: add('skipped'),
    sound: () => all.every(({ state }) => state !== 'failed'),
  }
}

export type Report = {
  kind: 'jwt' | 'certificate'
  verified: boolean
  /** What it was held against, and where that came from. */
  against: string
  checks: Check[]
  facts: Record<string, unknown>
}

const words = { ok: 'ok', failed: 'FAILED', skipped: '-' } as const
const colours = { ok: 'green', failed: 'red', skipped: 'yellow' } as const

const cell = (value: unknown): string =>
  typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : JSON.stringify(value)

export function reportWords({ kind, verified, against, checks, facts }: Report, style: Style): string {
  const width = Math.max(...checks.map(({ check }) => check.length))
  const lines = checks.map(
    ({ check, state, detail }) =>
      `  ${style(colours[state], words[state].padEnd(6))}  ${check.padEnd(width)}  ${printable(detail)}\n`,
  )
  const known = table(Object.entries(facts).map(([name, value]) => [`  ${name}`, cell(value)]))
  const title = kind === 'jwt' ? 'JWT-SVID' : 'certificate'
  const end = verified ? style('green', 'verified') : style('red', 'NOT VERIFIED')
  return `${title}, held against ${printable(against)}\n\n${known}\n${lines.join('')}\n${end}\n`
}

/** A moment, and how far it is: nobody subtracts times in the head. */
export function moment(at: Date, now: Date): string {
  const seconds = Math.round(Math.abs(at.getTime() - now.getTime()) / 1000)
  const [count, unit] =
    seconds < 120
      ? [seconds, 's']
      : seconds < 7200
        ? [Math.floor(seconds / 60), 'min']
        : seconds < 172_800
          ? [Math.floor(seconds / 3600), 'h']
          : [Math.floor(seconds / 86_400), 'days']
  return `${at.toISOString()} (${at < now ? `${count} ${unit} ago` : `in ${count} ${unit}`})`
}
