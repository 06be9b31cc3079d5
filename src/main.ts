#!/usr/bin/env node
/** The executable and the only reader of process.*: passes arguments, environment and streams to cli/. */
import { readFileSync } from 'node:fs'
import { runCli } from './cli/program.ts'

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
