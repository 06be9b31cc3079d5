/** `purser serve`: the server, in as many workers as configured, until SIGTERM or SIGINT. */
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { createLog } from '../telemetry/log.ts'
import { serve, workerNumber } from '../workers.ts'
import type { Io } from './io.ts'

export function addServe(program: Command, io: Io): void {
  program
    .command('serve')
    .description('Run the server. Settings come from the environment and PURSER_CONFIG; see docs/configuration.md')
    .action(async () => {
      const config = readConfig({ env: io.env, readFile: io.readFile })
      const worker = workerNumber()
      const log = createLog({
        level: config.log.level,
        stream: io.stdout,
        ...(worker !== undefined && { worker }),
      })
      const running = await serve(config, { log, pid: io.pid })
      await new Promise<void>((resolve) => io.onSignal(['SIGTERM', 'SIGINT'], () => resolve()))
      await running.stop()
    })
}
