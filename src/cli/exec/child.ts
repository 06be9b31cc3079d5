/** The child process: start, signals, restart. */
import { type ChildProcess, spawn } from 'node:child_process'
import { constants } from 'node:os'
import { CliError, codeOf } from '../io.ts'

export function createChild(command: string, args: readonly string[], graceMs: number) {
  let running: ChildProcess | undefined
  let isReplaced = false
  /** A signal that came between two processes. */
  let pendingSignal: NodeJS.Signals | undefined
  let settle: (code: number) => void = () => undefined
  const ended = new Promise<number>((resolve) => (settle = resolve))

  function start(env: Record<string, string | undefined>): Promise<void> {
    return new Promise((resolve, reject) => {
      const child = spawn(command, [...args], { env, stdio: 'inherit' })
      child.once('spawn', () => {
        running = child
        resolve()
      })
      child.once('error', (error) => reject(notRun(command, error)))
      child.once('exit', (code, signal) => {
        if (running === child) running = undefined
        if (!isReplaced) settle(code ?? 128 + (signal ? constants.signals[signal] : 0))
      })
    })
  }

  return {
    /** The exit code of the process that ended without being replaced; 128 and the number of a signal. */
    ended,
    /** Resolves once it runs. @throws CliError 127 or 126, as in shells, when it cannot be run */
    start,
    signal(name: NodeJS.Signals): void {
      if (isReplaced && !running) pendingSignal = name
      else running?.kill(name)
    },
    /** Ends the running process and starts another. Returns false if it had ended by itself. */
    async restart(env: Record<string, string | undefined>): Promise<boolean> {
      const child = running
      if (!child) return false
      isReplaced = true
      const exit = new Promise<void>((resolve) => child.once('exit', () => resolve()))
      child.kill('SIGTERM')
      const kill = setTimeout(() => child.kill('SIGKILL'), graceMs)
      await exit
      clearTimeout(kill)
      try {
        await start(env)
      } catch (error) {
        settle(error instanceof CliError ? error.exitCode : 126)
        throw error
      } finally {
        isReplaced = false
      }
      if (pendingSignal) running?.kill(pendingSignal)
      pendingSignal = undefined
      return true
    },
  }
}

function notRun(command: string, error: Error): CliError {
  const code = codeOf(error) ?? 'unknown'
  return new CliError(`cannot run ${command} (${code})`, code === 'ENOENT' ? 127 : 126)
}
