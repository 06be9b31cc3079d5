/** What a check found: what it is, why it matters, what to type. */
export const levels = ['fail', 'warn', 'skipped', 'note', 'ok'] as const
export type Level = (typeof levels)[number]

/** `fail`: it doesn't work, or a promise isn't kept. `warn`: it works and shouldn't stay so. `note`: to be known. */
export type Finding = { level: Level; check: string; what: string; why?: string; do?: string }

/** Why it matters, and what to type. */
type Advice = { why?: string; do?: string }

const at =
  (level: Level) =>
  (check: string, what: string, advice: Advice = {}): Finding => ({ level, check, what, ...advice })

export const fail = at('fail')
export const warn = at('warn')
export const note = at('note')
export const skipped = at('skipped')
export const ok = at('ok')

export const isWorking = (findings: readonly Finding[]): boolean => findings.every(({ level }) => level !== 'fail')

/** `a, b, c and 4 more`. */
export function some(names: readonly string[], max = 3): string {
  const more = names.length - max
  return more > 0 ? `${names.slice(0, max).join(', ')} and ${more} more` : names.join(', ')
}

/** `0600`. */
export const modeOf = (mode: number): string => (mode & 0o7777).toString(8).padStart(4, '0')

export const codeOf = (error: unknown): string | undefined =>
  error instanceof Error && 'code' in error && typeof error.code === 'string' ? error.code : undefined
