/** `purser exec`: runs a command with secrets, and restarts it when they change. */
import type { Purser, Secret } from '@purser/sdk'
import type { Command } from 'commander'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { childEnv } from './exec/child-env.ts'
import { createChild } from './exec/child.ts'
import { type Directory, openDirectory } from './exec/directory.ts'
import { type Mapping, readMappings, render } from './exec/mapping.ts'
import { coalesce, readOnChange } from './exec/on-change.ts'
import { Ended, type Io, usageError } from './io.ts'
import { repeated, seconds, withExamples } from './options.ts'
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
      'Attests as this workload, reads its secrets, and runs the command with them as environment variables or files. Files have mode 0600, in a new directory in memory (PURSER_SECRETS_DIR) that is removed at the end. When a secret changes, the command gets SIGTERM, starts again with the new version, and Purser records that the version is in use. While Purser cannot be reached, the command keeps running. Signals are passed on, and the exit code is that of the command. Values are never printed or passed as arguments.',
    )
    .argument('<command>', 'the command to run, after --')
    .argument('[args...]', 'its arguments')
    .option(
      '--secret <what>',
      'path: one variable LASTSEGMENT_MEMBER per member, except names that change how programs run, such as NODE_OPTIONS; path=NAME: one variable (JSON if the value has several members); path#member=NAME: one member; path=file:name or path#member=file:name: a file; may be repeated',
      repeated,
    )
    .option(
      '--on-change <how>',
      'when a secret changes: restart, signal:SIGHUP or another signal (files only), or none',
      'restart',
    )
    .option(
      '--dir <dir>',
      'directory for the files, which are removed at the end (default: a new one in /dev/shm or the temporary directory)',
    )
    .option(
      '--grace <duration>',
      'time between SIGTERM and SIGKILL at a restart, in seconds or such as 1m',
      seconds,
      10,
    )
    .option('--no-x509', 'use an access token instead of a certificate')
    .action((name: string, args: string[], flags: Flags) => run(name, args, flags, io))
  withExamples(
    withWorkload(command),
    'purser exec --secret prod/db -- node server.js',
    'purser exec --secret prod/db#password=PGPASSWORD -- psql -h db -U app',
    'purser exec --login --secret dev/db -- npm start',
    'purser exec --secret prod/web/key=file:tls.key --on-change signal:SIGHUP -- nginx -g "daemon off;"',
  )
}

const pathsOf = (mappings: readonly Mapping[]): string[] => [...new Set(mappings.map(({ path }) => path))]

/** Signals that are passed on. On a terminal, the command gets those of keys itself. */
const forwarded = ['SIGTERM', 'SIGINT', 'SIGHUP', 'SIGQUIT', 'SIGUSR1', 'SIGUSR2', 'SIGCONT'] as const
const keySignals: ReadonlySet<string> = new Set(['SIGINT', 'SIGQUIT'])

async function run(name: string, args: string[], flags: Flags, io: Io): Promise<void> {
  const mappings = readMappings(flags.secret ?? [])
  const onChange = readOnChange(flags.onChange)
  if (onChange.kind === 'signal' && mappings.some(({ as }) => as.kind !== 'file')) {
    const message =
      '--on-change signal needs files (path=file:name): the environment of a running command cannot change. Use files, or --on-change restart'
    throw usageError(message)
  }
  const paths = pathsOf(mappings)
  const request = { x509: flags.x509, accessToken: !flags.x509, secrets: paths }
  const child = createChild(name, args, flags.grace * 1000)
  const code = await asWorkload(io, flags, request, async (purser) => {
    const directory = mappings.some(({ as }) => as.kind === 'file')
      ? await openDirectory(flags.dir, (words) => remark(io, words))
      : undefined
    try {
      const prepare = (): Promise<Record<string, string | undefined>> => prepareCommand(purser, mappings, directory, io)
      await child.start(await prepare())
      io.onSignal(forwarded, (signal) => {
        if (io.stdout.isTTY !== true || !keySignals.has(signal)) child.signal(signal)
      })
      // A version that the command never gets is not fetched: Purser would count it as in use.
      const watched = onChange.kind === 'none' ? pathsOf(mappings.filter(({ as }) => as.kind === 'file')) : paths
      watchAll(purser, watched, onChange.kind !== 'none', io, async () => {
        const env = await prepare()
        if (onChange.kind === 'signal') child.signal(onChange.name)
        else if (onChange.kind === 'restart' && (await child.restart(env))) remark(io, `${name} was restarted`)
      })
      return await child.ended
    } finally {
      await directory?.remove()
    }
  })
  throw new Ended(code)
}

/** Writes all files, and returns the environment of the command. */
async function prepareCommand(purser: Purser, mappings: readonly Mapping[], directory: Directory | undefined, io: Io) {
  const secrets = new Map<string, Secret>()
  for (const { path } of mappings) secrets.set(path, await purser.secrets.get(path))
  const { env, files } = render(mappings, (path) => secrets.get(path)?.data ?? {})
  await directory?.write(files)
  return { ...childEnv(io.env), ...env, ...(directory && { PURSER_SECRETS_DIR: directory.path }) }
}

/** Watches every path. Changes that come together cause one act. */
function watchAll(
  purser: Purser,
  paths: readonly string[],
  acknowledge: boolean,
  io: Io,
  act: () => Promise<void>,
): void {
  const actOnce = coalesce(act)
  for (const path of paths) {
    const watch = purser.secrets.watch(
      path,
      ({ version }) => {
        remark(io, `${path} is at version ${version}`)
        return actOnce()
      },
      { acknowledge },
    )
    watch.on('removed', () => remark(io, `warning: ${path} was destroyed; the command keeps its last value`))
    watch.on('error', ({ message }) =>
      remark(io, `warning: ${path}: cannot be refreshed, so the current version stays in use. ${message}`),
    )
  }
}
