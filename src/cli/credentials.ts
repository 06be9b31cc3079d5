/** `purser credentials`: attests as this workload and writes its credentials to files. */
import type { Purser } from '@purser/sdk'
import { type Command, Option } from 'commander'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { createHook, factsOf } from './credentials/command.ts'
import { type Selection, contentsOf, reservedNames } from './credentials/contents.ts'
import { listenForSignals, watch } from './credentials/watch.ts'
import { type Written, checkFolder, createFileStore } from './files.ts'
import { presentsJoinToken } from './proof-source.ts'
import { CliError, type Io, usageError } from './io.ts'
import { list, seconds, withExamples, withOutput } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'

type Flags = WorkloadFlags &
  OutputFlags & {
    out: string
    audience?: string[]
    dns?: string[]
    lifetime?: number
    generateKey: 'no' | 'EC-P256' | 'RSA-2048'
    x509: boolean
    accessToken?: boolean
    database?: string[]
    watch?: boolean
    onRenew?: string
  }

export function addCredentials(program: Command, io: Io): void {
  const command = program
    .command('credentials')
    .summary('attest as this workload and write its credentials to files')
    .description(
      "Presents the orchestrator's token, verifies the reply and its receipt, and writes tls.crt, tls.key, tls.pem (key and chain), ca.crt, jwt-<audience>, <database>.json and receipt.json. Each file has mode 0600 and is replaced atomically.",
    )
    .requiredOption('--out <dir>', 'directory for the files; created with mode 0700 if it is missing')
    .option('--watch', 'keep running and update the files at each renewal; SIGHUP renews now, SIGTERM ends')
    .option('--on-renew <command>', 'command to run with sh each time new files are complete, including the first time')
    .option('--audience <audience>', 'also get a JWT for this audience; may be repeated', list)
    .option('--dns <name>', 'DNS name in the certificate; may be repeated (default: all granted names)', list)
    .option('--lifetime <duration>', 'lifetime of the credentials, such as 15m; the server may shorten it', seconds)
    .addOption(
      new Option('--generate-key <kind>', 'let the server generate the private key')
        .choices(['no', 'EC-P256', 'RSA-2048'])
        .default('no'),
    )
    .option('--no-x509', 'get no certificate')
    .option('--access-token', "also get an access token for Purser's API")
    .option('--database <name>', 'also get a role in this database; may be repeated', list)
    .action((flags: Flags) => run(flags, io))
  withExamples(
    withOutput(withWorkload(command)),
    'purser credentials --out /run/web --audience payments',
    "purser credentials --out /run/web --watch --on-renew 'nginx -s reload'",
    'purser credentials --out /run/web --database orders --watch',
    'purser credentials --out . --proof-file token.jwt --ca-file purser-data/ca.pem --no-x509 --audience cloud',
  )
}

async function run(flags: Flags, io: Io): Promise<void> {
  const nothing = !flags.x509 && !flags.audience && !flags.accessToken && !flags.database
  if (nothing) throw usageError('nothing to get with --no-x509: add --audience or --database')
  const reserved = flags.database?.find((name) => reservedNames.includes(name))
  if (reserved !== undefined)
    throw usageError(`--database ${reserved}: the name of its file, ${reserved}.json, is reserved`)
  if (!flags.x509 && presentsJoinToken(io, flags)) {
    const message = 'a join token needs a certificate, so it was not sent: remove --no-x509'
    throw usageError(message)
  }
  const { out } = flags
  // Checked before anything is issued.
  await checkFolder(out, (warning) => remark(io, warning))
  const unique = (all: string[] | undefined): string[] => [...new Set(all)]
  const selection: Selection = {
    x509: flags.x509,
    audiences: unique(flags.audience),
    databases: unique(flags.database),
  }
  const store = createFileStore(out)
  let failure: string | undefined
  const hook = flags.onRenew === undefined ? undefined : createHook(io, flags.onRenew, onFailure)
  const signals = flags.watch ? listenForSignals(io) : undefined
  if (!signals) io.onSignal(['SIGTERM', 'SIGINT'], (name) => void hook?.stop(name))

  function onFailure(message: string): void {
    failure = message
    // The signal that ends the watch also ends the command, which is no failure.
    if (signals && !signals.isOver()) remark(io, `warning: ${message}`)
  }

  await asWorkload(io, flags, requestOf(flags), async (purser) => {
    const files = await store.write(await contentsOf(purser, selection, fail))
    const { spiffeId, workload, session, receipt, chosen } = purser
    const log = receipt && { epoch: receipt.epoch, index: receipt.index }
    const fileReplies = files.map(({ name: _, ...rest }) => rest)
    show(io, flags, { spiffeId, workload, session, files: fileReplies, receipt: log, chosen }, () =>
      asText(purser, files),
    )
    hook?.run(factsOf(purser, out, flags.x509, files))
    if (signals) return watch({ io, purser, selection, out, store, hook, signals })
    await hook?.ended()
    if (failure !== undefined) throw new CliError(failure)
  })
}

function fail(error: unknown): never {
  throw error
}

function requestOf({ x509, lifetime, dns, audience = [], generateKey, accessToken, database = [] }: Flags) {
  const lifetimeSeconds = lifetime === undefined ? {} : { lifetimeSeconds: lifetime }
  return {
    x509: x509 && {
      ...lifetimeSeconds,
      ...(dns && { dnsNames: dns }),
      ...(generateKey !== 'no' && { generateKey }),
    },
    jwts: audience,
    ...(lifetime !== undefined && { jwtLifetimeSeconds: lifetime }),
    accessToken: accessToken === true && lifetimeSeconds,
    databases: database,
  }
}

const asText = ({ spiffeId, session }: Purser, files: readonly Written[]): string =>
  `${spiffeId}\nsession ${session.id} until ${session.expiresAt.toISOString()}\n\n` +
  table(files.map(({ path, what, until }) => [path, what, until ? `until ${until.toISOString()}` : '']))
