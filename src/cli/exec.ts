/** `purser exec`: runs a command with the secrets that it is granted, and sees to it when they change. */
import type { Purser, Secret } from '@purser/sdk'
import type { Command } from 'commander'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { childEnv } from './exec/child-env.ts'
import { createChild } from './exec/child.ts'
import { type Directory, openDirectory } from './exec/directory.ts'
import { type Given, readAll, render } from './exec/given.ts'
import { readOnChange, together } from './exec/on-change.ts'
import { ChildExit, CliError, type Io, exitCodes } from './io.ts'
import { again, seconds, withExamples } from './options.ts'
import { remark } from './output.ts'

type Flags = WorkloadFlags & {
  secret?: string[]
  onChange: string
  dir?: string
  grace: number
  x509: boolean
}

export function addExec(program: Command, io: Io): void {
  const command = program
    .command('exec')
    .summary('run a command with secrets, and restart it when they change')
    .description(
      'Attests as this workload, gets its secrets in the same request, and runs the command with them as environment variables or as files (mode 0600, in a directory of its own in memory, PURSER_SECRETS_DIR, removed at the end). When a secret changes, the command is ended by SIGTERM and started with the new version, and Purser is told that it is in use. While Purser is away the command runs on. Signals are passed on, and its exit code is the answer. No value is on a command line, and none is printed.',
    )
    .argument('<command>', 'after --')
    .argument('[args...]')
    .option(
      '--secret <what>',
      'path: each member as a variable LASTSEGMENT_MEMBER, but for those that change how programs run, such as NODE_OPTIONS; path=NAME: one variable (JSON of several members); path#member=NAME; path=file:name or path#member=file:name: a file; may be repeated',
      again,
    )
    .option('--on-change <how>', 'restart, signal:SIGHUP (or another; files alone), or none', 'restart')
    .option(
      '--dir <dir>',
      'for the files; stays, without them (default: a new one in /dev/shm, else in the temporary directory)',
    )
    .option('--grace <duration>', 'from SIGTERM to SIGKILL at a restart', seconds, 10)
    .option('--no-x509', 'ask with an access token rather than a certificate')
    .action((name: string, args: string[], flags: Flags) => run(name, args, flags, io))
  withExamples(
    withWorkload(command),
    'purser exec --secret prod/db -- node server.js',
    'purser exec --secret prod/db#password=PGPASSWORD -- psql -h db -U app',
    'purser exec --secret prod/web/key=file:tls.key --on-change signal:SIGHUP -- nginx -g "daemon off;"',
  )
}

const pathsOf = (given: readonly Given[]): string[] => [...new Set(given.map(({ path }) => path))]

/** What is passed on. From a terminal the command hears the keys itself. */
const passedOn = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const
const fromKeys: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT'])

async function run(name: string, args: string[], flags: Flags, io: Io): Promise<void> {
  const given = readAll(flags.secret ?? [])
  const onChange = readOnChange(flags.onChange)
  if (onChange.kind === 'signal' && given.some(({ as }) => as.kind !== 'file')) {
    const words =
      'the environment of a command that runs does not change: give files (path=file:name), or --on-change restart'
    throw new CliError(words, exitCodes.usage)
  }
  const paths = pathsOf(given)
  const wanted = { x509: flags.x509, accessToken: !flags.x509, secrets: paths }
  const child = createChild(name, args, flags.grace * 1000)
  const code = await asWorkload(io, flags, wanted, async (purser) => {
    const directory = given.some(({ as }) => as.kind === 'file')
      ? await openDirectory(flags.dir, (words) => remark(io, words))
      : undefined
    try {
      const prepare = (): Promise<Record<string, string | undefined>> => prepared(purser, given, directory, io)
      await child.start(await prepare())
      io.onSignal(passedOn, (signal) => {
        if (io.stdout.isTTY !== true || !fromKeys.has(signal)) child.signal(signal)
      })
      // What the command will never be given isn't fetched: Purser would take it for one that has moved.
      const watched = onChange.kind === 'none' ? pathsOf(given.filter(({ as }) => as.kind === 'file')) : paths
      watchAll(purser, watched, onChange.kind !== 'none', io, async () => {
        const env = await prepare()
        if (onChange.kind === 'signal') child.signal(onChange.name)
        else if (onChange.kind === 'restart' && (await child.restart(env))) remark(io, `${name} was started again`)
      })
      return await child.ended
    } finally {
      await directory?.remove()
    }
  })
  throw new ChildExit(code)
}

/** Every file of one generation, and what the command's environment is then. */
async function prepared(purser: Purser, given: readonly Given[], directory: Directory | undefined, io: Io) {
  const held = new Map<string, Secret>()
  for (const { path } of given) held.set(path, await purser.secrets.get(path))
  const { env, files } = render(given, (path) => held.get(path)?.data ?? {})
  await directory?.write(files)
  return { ...childEnv(io.env), ...env, ...(directory && { PURSER_SECRETS_DIR: directory.path }) }
}

/** One watch for each, so that what changes together is seen to together. */
function watchAll(
  purser: Purser,
  paths: readonly string[],
  acknowledge: boolean,
  io: Io,
  act: () => Promise<void>,
): void {
  const acted = together(act)
  for (const path of paths) {
    const watch = purser.secrets.watch(
      path,
      ({ version }) => {
        remark(io, `${path} is at version ${version}`)
        return acted()
      },
      { acknowledge },
    )
    watch.on('removed', () => remark(io, `warning: ${path} was destroyed; the command keeps what it has`))
    watch.on('error', ({ message }) => remark(io, `warning: ${path}: what is held is used on. ${message}`))
  }
}
