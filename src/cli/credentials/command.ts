/** The command that is told of new files: through `sh`, in a process group of its own, one at a time. */
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { resolve as absolute } from 'node:path'
import type { Purser } from '@purser/sdk'
import type { Io } from '../io.ts'
import type { Written } from '../files.ts'

/** What the command learns, by its environment. Nothing in it is secret: `ps` and /proc show it to others. */
export type Facts = {
  PURSER_OUT: string
  PURSER_CHANGED: string
  PURSER_SERIAL_NUMBER: string | undefined
  PURSER_NOT_AFTER: string | undefined
}

export function factsOf(purser: Purser, out: string, hasX509: boolean, changed: readonly Written[]): Facts {
  const x509 = hasX509 ? purser.x509 : undefined
  return {
    PURSER_OUT: absolute(out),
    PURSER_CHANGED: changed.map(({ name }) => name).join(' '),
    PURSER_SERIAL_NUMBER: x509?.serialNumber,
    PURSER_NOT_AFTER: x509?.notAfter.toISOString(),
  }
}

export type Hook = {
  /** Runs the command, or once more after the run that is under way. */
  run(facts: Facts): void
  /** Waits for what is under way. */
  ended(): Promise<void>
  /** Hands the signal on, and waits for the command to end. */
  stop(name: NodeJS.Signals): Promise<void>
}

/** Milliseconds that a command has to end by itself. */
const patienceMs = 10_000

/** @param onFailure told in words how a run failed */
export function createHook(io: Io, command: string, onFailure: (words: string) => void): Hook {
  let child: ChildProcess | undefined
  let next: Facts | undefined
  let underWay: Promise<void> = Promise.resolve()

  function start(env: Io['env']): ChildProcess {
    const started = spawn('sh', ['-c', command], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    // Of our own stdout it knows nothing: that is for the result.
    started.stdout.pipe(io.stderr, { end: false })
    started.stderr.pipe(io.stderr, { end: false })
    return started
  }

  async function runAll(first: Facts): Promise<void> {
    for (let facts: Facts | undefined = first; facts; facts = next) {
      next = undefined
      try {
        child = start({ ...io.env, ...facts })
        const failure = await endOf(child)
        if (failure !== undefined) onFailure(`the command of --on-renew ${failure}`)
      } catch (error) {
        onFailure(
          `the command of --on-renew could not be run: ${error instanceof Error ? error.message : String(error)}`,
        )
      } finally {
        child = undefined
      }
    }
  }

  return {
    run(facts) {
      next = facts
      if (!child) underWay = runAll(facts)
    },
    ended: () => underWay,
    async stop(name) {
      next = undefined
      const { pid } = child ?? {}
      if (pid === undefined) return
      io.signalGroup(pid, name)
      const kill = setTimeout(() => io.signalGroup(pid, 'SIGKILL'), patienceMs)
      await underWay
      clearTimeout(kill)
    },
  }
}

/** Milliseconds for the last words of a command that has ended: what it left behind may hold its streams forever. */
const lastWordsMs = 1_000

async function endOf(child: ChildProcess): Promise<string | undefined> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const failure = await exitOf(child)
  let patience: NodeJS.Timeout | undefined
  await Promise.race([closed, new Promise((resolve) => (patience = setTimeout(resolve, lastWordsMs)))])
  clearTimeout(patience)
  for (const stream of [child.stdout, child.stderr]) if (stream instanceof Socket) stream.unref()
  return failure
}

const exitOf = (child: ChildProcess): Promise<string | undefined> =>
  new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('exit', (code, signal) => {
      if (code === 0) resolve(undefined)
      else resolve(`ended with ${code === null ? `the signal ${signal ?? ''}` : `exit code ${code}`}`)
    })
  })
