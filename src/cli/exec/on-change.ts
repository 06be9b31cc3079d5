/** The option `--on-change`, and one act for changes that come together. */
import { usageError } from '../io.ts'
import { constants } from 'node:os'

export type OnChange = { kind: 'restart' } | { kind: 'none' } | { kind: 'signal'; name: NodeJS.Signals }

const isSignal = (text: string): text is NodeJS.Signals => Object.hasOwn(constants.signals, text)

/** @throws CliError */
export function readOnChange(text: string): OnChange {
  if (text === 'restart' || text === 'none') return { kind: text }
  const name = /^signal:(?:SIG)?([A-Z0-9]+)$/.exec(text)?.[1]
  const full = `SIG${name ?? ''}`
  if (name !== undefined && isSignal(full) && !['SIGKILL', 'SIGSTOP'].includes(full))
    return { kind: 'signal', name: full }
  throw usageError('--on-change must be restart, none, or signal:NAME, such as signal:SIGHUP')
}

/** Milliseconds to wait for further changes: a rotation may change several secrets. */
const quietMs = 200

/**
 * @param act runs once for all calls that come while it waits, and again for calls that come while it runs
 * @returns a function that resolves when an act that began after the call is done
 */
export function coalesce(act: () => Promise<void>): () => Promise<void> {
  let next: Promise<void> | undefined
  let last: Promise<unknown> = Promise.resolve()
  return () => {
    if (next) return next
    const run = last
      .then(() => new Promise((resolve) => setTimeout(resolve, quietMs)))
      .then(() => {
        next = undefined
        return act()
      })
    next = run
    last = run.catch(() => undefined)
    return run
  }
}
