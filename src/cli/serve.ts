/** `purser serve`: runs the server and its workers until SIGTERM or SIGINT. */
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import type { Io } from './io.ts'
import { withExamples } from './options.ts'
import { refuseUnreachable } from './unreachable.ts'

export function addServe(program: Command, io: Io): void {
  const command = program
    .command('serve')
    .summary('run the server')
    .description(
      'Runs the server until SIGTERM or SIGINT. Settings come from the environment and the YAML file that PURSER_CONFIG names; docs/configuration.md lists them.',
    )
    .action(async () => {
      const config = readConfig({ env: io.env, readFile: io.readFile })
      // Loaded on demand, so that client verbs load no server code.
      const { createLogger } = await import('../telemetry/log.ts')
      const { serve, workerNumber } = await import('../start/workers.ts')
      const worker = workerNumber()
      const log = createLogger({
        level: config.log.level,
        stream: io.stdout,
        ...(worker !== undefined && { worker }),
      })
      const running = await serve(config, { log, pid: io.pid }).catch(refuseUnreachable)
      await new Promise<void>((resolve) => io.onSignal(['SIGTERM', 'SIGINT'], () => resolve()))
      await running.stop()
    })
  withExamples(
    command,
    'PURSER_TRUST_DOMAIN=example.org purser serve',
    'PURSER_TRUST_DOMAIN=example.org DATABASE_URL=postgres://… PURSER_ROOT_KEY_FILE=/etc/purser/root-key purser serve',
  )
}
