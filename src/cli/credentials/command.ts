/** The command of `--on-renew`: run by `sh` in its own process group, one run at a time. */
import { type ChildProcess, spawn } from 'node:child_process'
import { Socket } from 'node:net'
import { resolve as absolute } from 'node:path'
import type { Purser } from '@purser/sdk'
import type { Io } from '../io.ts'
import type { Written } from '../files.ts'

/** Variables for the command. None is secret: `ps` and /proc show them to others. */
export type Facts = ReturnType<typeof factsOf>

export function factsOf(purser: Purser, out: string, hasX509: boolean, changed: readonly Written[]) {
  const x509 = hasX509 ? purser.x509 : undefined
  return {
    PURSER_OUT: absolute(out),
    PURSER_CHANGED: changed.map(({ name }) => name).join(' '),
    PURSER_SERIAL_NUMBER: x509?.serialNumber,
    PURSER_NOT_AFTER: x509?.notAfter.toISOString(),
  }
}

export type Hook = ReturnType<typeof createHook>

/** Milliseconds until a stopped command is killed. */
const stopTimeoutMs = 10_000

/** @param onFailure gets a message when a run fails */
export function createHook(io: Io, command: string, onFailure: (message: string) => void) {
  let child: ChildProcess | undefined
  let next: Facts | undefined
  let current: Promise<void> = Promise.resolve()

  function start(env: Io['env']): ChildProcess {
    const started = spawn('sh', ['-c', command], { env, stdio: ['ignore', 'pipe', 'pipe'], detached: true })
    // Its output goes to stderr: stdout is for the result of this verb.
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
        onFailure(`the command of --on-renew cannot be run: ${error instanceof Error ? error.message : String(error)}`)
      } finally {
        child = undefined
      }
    }
  }

  return {
    /** Runs the command, or once more after the current run. */
    run(facts: Facts): void {
      next = facts
      if (!child) current = runAll(facts)
    },
    /** Waits for the current run. */
    ended: () => current,
    /** Passes the signal on, and waits for the command to end. */
    async stop(name: NodeJS.Signals): Promise<void> {
      next = undefined
      const { pid } = child ?? {}
      if (pid === undefined) return
      io.signalGroup(pid, name)
      const kill = setTimeout(() => io.signalGroup(pid, 'SIGKILL'), stopTimeoutMs)
      await current
      clearTimeout(kill)
    },
  }
}

/** Milliseconds to read the remaining output of a command that has ended: its children may keep the streams open. */
const outputTimeoutMs = 1_000

async function endOf(child: ChildProcess): Promise<string | undefined> {
  const closed = new Promise<void>((resolve) => child.once('close', () => resolve()))
  const failure = await exitOf(child)
  let timer: NodeJS.Timeout | undefined
  await Promise.race([closed, new Promise((resolve) => (timer = setTimeout(resolve, outputTimeoutMs)))])
  clearTimeout(timer)
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
