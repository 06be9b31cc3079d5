/** `purser credentials`: fetches as a workload would, and writes files for programs that read files. */
import type { Purser } from '@purser/sdk'
import { type Command, Option } from 'commander'
import { type WorkloadFlags, asWorkload, withWorkload } from './as-workload.ts'
import { createHook, factsOf } from './credentials/command.ts'
import { type Wanted, contentsOf, takenNames } from './credentials/contents.ts'
import { hearSignals, watch } from './credentials/watch.ts'
import { type Written, checkFolder, createFileStore } from './files.ts'
import { presentsJoinToken } from './given-proof.ts'
import { CliError, type Io, exitCodes } from './io.ts'
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
    .summary('attest as this workload and write what it gets to files')
    .description(
      "Presents the orchestrator's token, verifies what comes back and its receipt, and writes tls.crt, tls.key, tls.pem (key and chain in one), ca.crt, jwt-<audience>, <database>.json and receipt.json, each with mode 0600 and moved into place whole.",
    )
    .requiredOption('--out <dir>', 'directory for the files; made with mode 0700 where it is missing')
    .option('--watch', 'stay, and write the files anew at each renewal; SIGHUP renews now, SIGTERM ends it')
    .option('--on-renew <command>', 'run by sh each time that new files are complete, the first time too')
    .option('--audience <audience>', 'also a JWT for this audience; may be repeated', list)
    .option('--dns <name>', 'this name in the certificate; may be repeated (default: all that are granted)', list)
    .option(
      '--lifetime <duration>',
      'of all that is issued, such as 15m; the server shortens what is too long',
      seconds,
    )
    .addOption(
      new Option('--generate-key <kind>', 'let the server make the private key')
        .choices(['no', 'EC-P256', 'RSA-2048'])
        .default('no'),
    )
    .option('--no-x509', 'no certificate')
    .option('--access-token', "also a token for Purser's own API")
    .option('--database <name>', 'also a role of its own in this database; may be repeated', list)
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
  if (nothing) throw new CliError('--no-x509 leaves nothing to ask for: add --audience or --database', exitCodes.usage)
  const taken = flags.database?.find((one) => takenNames.includes(one))
  if (taken !== undefined)
    throw new CliError(`${taken}.json is another file's name: that database can't be asked for here`, exitCodes.usage)
  if (!flags.x509 && presentsJoinToken(io, flags.proofFile)) {
    const words = 'a join token is bound at its use to a key, so it was not sent: leave --no-x509 out'
    throw new CliError(words, exitCodes.usage)
  }
  const { out } = flags
  // Before anything is issued.
  await checkFolder(out, (words) => remark(io, words))
  const unique = (all: string[] | undefined): string[] => [...new Set(all)]
  const wanted: Wanted = { x509: flags.x509, audiences: unique(flags.audience), databases: unique(flags.database) }
  const store = createFileStore(out)
  let failure: string | undefined
  const hook = flags.onRenew === undefined ? undefined : createHook(io, flags.onRenew, onFailure)
  const signals = flags.watch ? hearSignals(io) : undefined
  if (!signals) io.onSignal(['SIGTERM', 'SIGINT'], (name) => void hook?.stop(name))

  function onFailure(words: string): void {
    failure = words
    // The signal that ends the watch ends the command too: no news.
    if (signals && !signals.isOver()) remark(io, `warning: ${words}`)
  }

  await asWorkload(io, flags, requestOf(flags), async (purser) => {
    const files = await store.write(await contentsOf(purser, wanted, fail))
    const { spiffeId, workload, session, receipt, chosen } = purser
    const log = receipt && { epoch: receipt.epoch, index: receipt.index }
    const written = files.map(({ name: _, ...rest }) => rest)
    show(io, flags, { spiffeId, workload, session, files: written, receipt: log, chosen }, () => asText(purser, files))
    hook?.run(factsOf(purser, out, flags.x509, files))
    if (signals) return watch({ io, purser, wanted, out, store, hook, signals })
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
