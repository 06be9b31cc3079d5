/** The checks of a credential and their results. */
import { type Style, printable, table } from '../output.ts'

type Check = {
  check: string
  /** `skipped`: not checked, and the detail says why. */
  state: 'ok' | 'failed' | 'skipped'
  detail: string
}

/** Checks go on after a failure, so that all mistakes are shown at once. */
export type Checks = ReturnType<typeof createChecks>

export function createChecks() {
  const all: Check[] = []
  const add = (state: Check['state']) => (check: string, detail: string) => void all.push({ check, state, detail })
  return {
    all,
    ok: add('ok'),
    failed: add('failed'),
    skipped: add('skipped'),
    /** Whether no check has failed. A skipped check is not a failure. */
    sound: () => all.every(({ state }) => state !== 'failed'),
  }
}

/** A credential's checks and its content, whether or not it verifies. */
export type Judged = { checks: Checks; facts: Record<string, unknown> }

export function judgeTrustDomain(checks: Checks, actual: string | undefined, expected: string | undefined): void {
  if (actual === undefined) checks.failed('trust domain', 'unknown, since it has no SPIFFE ID')
  else if (expected === undefined)
    checks.skipped('trust domain', `${actual}: the bundle names none; give --trust-domain`)
  else if (actual === expected) checks.ok('trust domain', actual)
  else checks.failed('trust domain', `it belongs to ${actual}, not to ${expected}`)
}

export type Report = {
  kind: 'jwt' | 'certificate'
  verified: boolean
  /** The trust anchors and their source. */
  against: string
  checks: Check[]
  facts: Record<string, unknown>
}

const labels = { ok: 'ok', failed: 'FAILED', skipped: '-' } as const
const colours = { ok: 'green', failed: 'red', skipped: 'yellow' } as const

const cell = (value: unknown): string =>
  typeof value === 'string' ? value : Array.isArray(value) ? value.join(', ') : JSON.stringify(value)

export function formatReport({ kind, verified, against, checks, facts }: Report, style: Style): string {
  const width = Math.max(...checks.map(({ check }) => check.length))
  const lines = checks.map(
    ({ check, state, detail }) =>
      `  ${style(colours[state], labels[state].padEnd(6))}  ${check.padEnd(width)}  ${printable(detail)}\n`,
  )
  const factTable = table(Object.entries(facts).map(([name, value]) => [`  ${name}`, cell(value)]))
  const title = kind === 'jwt' ? 'JWT-SVID' : 'certificate'
  const end = verified ? style('green', 'verified') : style('red', 'NOT VERIFIED')
  return `${title}, verified against ${printable(against)}\n\n${factTable}\n${lines.join('')}\n${end}\n`
}

/** A time, and its distance from now. */
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
