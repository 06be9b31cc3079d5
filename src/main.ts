#!/usr/bin/env node
/** The executable and the only reader of process.*: passes arguments, environment and streams to cli/. */
import { readFileSync } from 'node:fs'
import { runCli } from './cli/program.ts'

/** As a process that SIGPIPE ends. */
const brokenPipe = 128 + 13
// The reader of a pipe may end first, as `head` does.
process.stdout.on('error', (error: NodeJS.ErrnoException) => {
  if (error.code !== 'EPIPE') throw error
  process.exit(brokenPipe)
})

process.exitCode = await runCli({
  argv: process.argv.slice(2),
  env: process.env,
  stdin: process.stdin,
  stdout: process.stdout,
  stderr: process.stderr,
  readFile: (path) => readFileSync(path, 'utf8'),
  pid: process.pid,
  signalGroup: (pid, name) => {
    try {
      process.kill(-pid, name)
    } catch {
      // It has ended.
    }
  },
  onSignal: (names, listener) => {
    for (const name of names) process.on(name, () => listener(name))
  },
})
