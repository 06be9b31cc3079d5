/** What becomes of a command whose secrets changed: one act for all that came together. */
import { CliError, exitCodes } from '../io.ts'
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
  throw new CliError('--on-change is restart, none, or signal: and a name such as SIGHUP', exitCodes.usage)
}

/** Versions of a rotation of several secrets come together, or nearly so. Milliseconds. */
const togetherMs = 200

/**
 * @param act runs once for all that come while it waits, and again for what comes while it runs
 * @returns a call that resolves when an act that began after it is done
 */
export function together(act: () => Promise<void>): () => Promise<void> {
  let next: Promise<void> | undefined
  let last: Promise<unknown> = Promise.resolve()
  return () => {
    if (next) return next
    const mine = last
      .then(() => new Promise((resolve) => setTimeout(resolve, togetherMs)))
      .then(() => {
        next = undefined
        return act()
      })
    next = mine
    last = mine.catch(() => undefined)
    return mine
  }
}
