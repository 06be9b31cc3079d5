/** `purser demo`: a complete walk-through on this machine that checks what it shows. */
import type { Command } from 'commander'
import { version } from '../version.ts'
import { rotate, showHolders } from './demo/rotation.ts'
import { type Screen, createScreen } from './demo/screen.ts'
import { type Stage, setStage } from './demo/stage.ts'
import { attestAll, prove, refuse, talk, tamper, trail } from './demo/steps.ts'
import { register, secretPath } from './demo/workloads.ts'
import { commandName } from './dev.ts'
import { CliError, type Io } from './io.ts'
import { withExamples } from './options.ts'

export function addDemo(program: Command, io: Io): void {
  const command = program
    .command('demo')
    .summary('walk through the main features in a few seconds')
    .description(
      'Starts a Purser server in a temporary folder, with a stand-in for an orchestrator. Gives workloads their identities, refuses one, rotates a database password while a service uses it, and verifies the log. Uses the Postgres in node_modules of a clone, or PURSER_DEMO_DATABASE_URL (of a superuser; "none" skips the rotation). Keeps running for further trials; Ctrl-C stops it and removes everything.',
    )
    .option('--once', 'exit at the end: 0 if every check passed')
    .action((flags: { once?: boolean }) => demo(io, flags.once === true))
  withExamples(command, 'purser demo', 'purser demo --once')
}

async function demo(io: Io, once: boolean): Promise<void> {
  const screen = createScreen(io)
  screen.line(`Purser ${version}. A demo on this machine alone: nothing leaves it.`)
  const interrupted = new Promise<void>((resolve) => io.onSignal(['SIGTERM', 'SIGINT'], () => resolve()))
  const stage = await setStage(io)
  try {
    const run = play(stage, screen)
    const requestId = await Promise.race([run, interrupted])
    if (requestId === undefined) throw new CliError('interrupted')
    if (once) return
    io.stdout.write(whatToTry(commandName(io), stage, requestId))
    await interrupted
  } finally {
    await stage.stop()
  }
}

/** Returns the request id of the refusal. @throws CliError when a check fails */
async function play(stage: Stage, screen: Screen): Promise<string> {
  const started = performance.now()
  await register(stage)
  screen.line(`Purser runs at ${stage.url}, on the embedded store. A STAND-IN for an`)
  screen.line('orchestrator, played by this process, has started the workloads web, orders and')
  screen.line('batch, and given each a token, as Kubernetes would. An operator registered them.')
  const cast = await attestAll(stage, screen)
  await talk(stage, screen, cast)
  const requestId = await refuse(stage, screen)
  await trail(stage, screen, cast)
  if (await rotate(stage, screen, cast)) await showHolders(stage, screen, cast)
  const lines = await prove(stage, screen, cast)
  await tamper(stage, screen, cast, lines)

  screen.line()
  const [checks, failures] = [screen.checks(), screen.failures()]
  if (failures > 0) throw new CliError(`${failures} of ${checks} checks failed`)
  screen.line(`All ${checks} checks passed, in ${((performance.now() - started) / 1000).toFixed(1)} s.`)
  return requestId
}

const whatToTry = (purser: string, { envFile, database }: Stage, requestId: string): string => `
The server runs until Ctrl-C. Try in another terminal:

. ${envFile}    # where Purser is, and an operator's token
${'missing' in database ? '' : `${purser} secret rotate ${secretPath}\n${purser} secret consumers ${secretPath} --proof\n`}\
${purser} explain ${requestId}
${purser} audit search --workload web
${purser} audit export | ${purser} audit verify -
`
