/** `purser credentials`: fetches as a workload would, and writes files for programs that read files. */
import type { ConnectOptions, Purser } from '@purser/sdk'
import { type Command, Option } from 'commander'
import { type ServerFlags, defaultAddr } from './api.ts'
import { type File, type Written, writeFiles } from './files.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { list, seconds, withExamples, withOutput, withServer } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'
import { sdkCall } from './sdk-call.ts'
import { setting } from './settings.ts'

type Flags = ServerFlags &
  OutputFlags & {
    out: string
    audience?: string[]
    dns?: string[]
    lifetime?: number
    generateKey: 'no' | 'EC-P256' | 'RSA-2048'
    x509: boolean
    accessToken?: boolean
    attestor?: string
    workload?: string
    proofFile?: string
    logKey?: string
    receipts: 'require' | 'warn' | 'off'
  }

export function addCredentials(program: Command, io: Io): void {
  const command = program
    .command('credentials')
    .summary('attest as this workload and write what it gets to files')
    .description(
      "Presents the orchestrator's token, verifies what comes back and its receipt, and writes tls.crt, tls.key, ca.crt, jwt-<audience> and receipt.json, each with mode 0600 and moved into place whole.",
    )
    .requiredOption('--out <dir>', 'directory for the files; made with mode 0700 where it is missing')
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
    .option('--attestor <name>', 'where the token alone does not tell (PURSER_ATTESTOR)')
    .option('--workload <name>', 'the workload entry, where several match (PURSER_WORKLOAD)')
    .option('--proof-file <file>', "the orchestrator's token (PURSER_PROOF_FILE; default: what is found here)")
    .option('--log-key <vkey>', "the log's key (PURSER_LOG_KEY)")
    .addOption(
      new Option('--receipts <mode>', 'what becomes of a credential whose receipt does not verify')
        .choices(['require', 'warn', 'off'])
        .default('require'),
    )
    .action((flags: Flags) => run(flags, io))
  withExamples(
    withOutput(withServer(command)),
    'purser credentials --out /run/web --audience payments',
    'purser credentials --out . --proof-file token.jwt --ca-file purser-data/ca.pem --no-x509 --audience cloud',
  )
}

async function run(flags: Flags, io: Io): Promise<void> {
  const nothing = !flags.x509 && !flags.audience && !flags.accessToken
  if (nothing) throw new CliError('--no-x509 leaves nothing to ask for: add --audience', exitCodes.usage)
  const controller = new AbortController()
  io.onSignal(['SIGTERM', 'SIGINT'], () => controller.abort())
  // Loaded here, so that no other verb waits for it.
  const { connect } = await import('@purser/sdk')
  const purser = await sdkCall(() => connect(optionsOf(flags, io, controller.signal)))
  try {
    const files = await writeFiles(flags.out, await filesOf(purser, flags))
    const { spiffeId, workload, session, receipt, chosen } = purser
    const log = receipt && { epoch: receipt.epoch, index: receipt.index }
    show(io, flags, { spiffeId, workload, session, files, receipt: log, chosen }, () => asText(purser, files))
  } finally {
    purser.close()
  }
}

/** A flag wins over the environment, and then over both of the variables that name roots. */
function environmentOf(flags: Flags, io: Io): Io['env'] {
  const given = flags.caFile ?? flags.caSha256
  return {
    ...io.env,
    PURSER_ADDR: setting(io, 'PURSER_ADDR', flags.addr) ?? defaultAddr,
    PURSER_CA_FILE: given === undefined ? io.env.PURSER_CA_FILE : flags.caFile,
    PURSER_CA_SHA256: given === undefined ? setting(io, 'PURSER_CA_SHA256') : flags.caSha256,
  }
}

function optionsOf(flags: Flags, io: Io, signal: AbortSignal): ConnectOptions {
  const { lifetime, dns, audience = [], generateKey, attestor, workload, proofFile, logKey } = flags
  const lifetimeSeconds = lifetime === undefined ? {} : { lifetimeSeconds: lifetime }
  return {
    env: environmentOf(flags, io),
    signal,
    onWarning: (warning) => remark(io, `warning: ${warning}`),
    x509: flags.x509 && {
      ...lifetimeSeconds,
      ...(dns && { dnsNames: dns }),
      ...(generateKey !== 'no' && { generateKey }),
    },
    jwts: audience,
    ...(lifetime !== undefined && { jwtLifetimeSeconds: lifetime }),
    accessToken: flags.accessToken === true && lifetimeSeconds,
    receipts: flags.receipts,
    ...(attestor !== undefined && { attestor }),
    ...(workload !== undefined && { workload }),
    ...(proofFile !== undefined && { proof: { file: proofFile } }),
    ...(logKey !== undefined && { logKey }),
  }
}

/** The certificate after its key, and the receipt last: who waits for it finds the others there. */
async function filesOf(purser: Purser, flags: Flags): Promise<File[]> {
  const files: File[] = []
  if (flags.x509) {
    const { certificateChain, privateKey, trustBundle, notAfter } = purser.x509
    files.push(
      { name: 'ca.crt', text: trustBundle, what: 'roots to verify others with' },
      { name: 'tls.key', text: privateKey, what: 'private key', until: notAfter },
      { name: 'tls.crt', text: certificateChain, what: 'certificate and chain', until: notAfter },
    )
  }
  for (const audience of new Set(flags.audience ?? [])) {
    const text = await sdkCall(() => purser.jwt(audience))
    files.push({ name: `jwt-${encodeURIComponent(audience)}`, text, what: `JWT for ${audience}`, until: endOf(text) })
  }
  const { accessToken, receipt } = purser
  if (accessToken) {
    const { token, expiresAt } = accessToken
    files.push({ name: 'access-token', text: token, what: "token for Purser's API", until: expiresAt })
  }
  if (receipt) {
    const text = `${JSON.stringify(receipt, null, 2)}\n`
    files.push({ name: 'receipt.json', text, what: `proof of log entry ${receipt.epoch}/${receipt.index}, verified` })
  }
  return files
}

/** Of a JWT that the SDK has held against what the server said about it. */
const endOf = (jwt: string): Date => {
  const claims: unknown = JSON.parse(Buffer.from(jwt.split('.')[1] ?? '', 'base64url').toString())
  const exp = typeof claims === 'object' && claims !== null && 'exp' in claims ? Number(claims.exp) : NaN
  return new Date(exp * 1000)
}

const asText = ({ spiffeId, session }: Purser, files: readonly Written[]): string =>
  `${spiffeId}\nsession ${session.id} until ${session.expiresAt.toISOString()}\n\n` +
  table(files.map(({ path, what, until }) => [path, what, until ? `until ${until.toISOString()}` : '']))
