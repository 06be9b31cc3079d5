/** Shared by verbs that act as a workload: their options, and a connection for their work. */
import type { ConnectOptions, Purser } from '@purser/sdk'
import { type Command, Option } from 'commander'
import { type ServerFlags, defaultAddr } from './api.ts'
import type { Io } from './io.ts'
import { withServer } from './options.ts'
import { remark } from './output.ts'
import { asCliError } from './sdk-error.ts'
import { setting } from './settings.ts'

export type WorkloadFlags = ServerFlags & {
  attestor?: string
  workload?: string
  proofFile?: string
  login?: boolean
  logKey?: string
  receipts?: 'require' | 'warn' | 'off'
}

export function withWorkload(command: Command): Command {
  return withServer(command)
    .option('--attestor <name>', 'attestor of the proof, if several accept it (PURSER_ATTESTOR)')
    .option('--workload <name>', 'workload entry, if several match (PURSER_WORKLOAD)')
    .option(
      '--proof-file <file>',
      "file with the orchestrator's token (PURSER_PROOF_FILE; default: found automatically)",
    )
    .addOption(
      new Option(
        '--login',
        "log in with a browser at the attestor's issuer, in place of the orchestrator's token; the login is kept until it expires",
      ).conflicts('proofFile'),
    )
    .option('--log-key <vkey>', 'public key of the log (PURSER_LOG_KEY)')
    .addOption(
      new Option('--receipts <mode>', 'require a valid receipt, warn about an invalid one, or do not verify')
        .choices(['require', 'warn', 'off'])
        .default('require'),
    )
}

/** Attests for one call of the API, with an access token that is used immediately. */
export const withAccessToken = <T>(
  io: Io,
  flags: WorkloadFlags,
  work: (token: string, purser: Purser) => Promise<T>,
): Promise<T> =>
  asWorkload(io, flags, { x509: false, accessToken: { lifetimeSeconds: 60 } }, (purser) =>
    work(purser.accessToken?.token ?? '', purser),
  )

/** A flag overrides the environment; a flag for roots overrides both variables. */
function environmentOf(flags: WorkloadFlags, io: Io): Io['env'] {
  const trust = flags.caFile ?? flags.caSha256
  return {
    ...io.env,
    PURSER_ADDR: setting(io, 'PURSER_ADDR', flags.addr) ?? defaultAddr,
    PURSER_CA_FILE: trust === undefined ? io.env.PURSER_CA_FILE : flags.caFile,
    PURSER_CA_SHA256: trust === undefined ? setting(io, 'PURSER_CA_SHA256') : flags.caSha256,
  }
}

/**
 * Attests as this workload, and closes the connection when `work` is done.
 * @param request what the first request asks for
 * @throws CliError in place of a PurserError, also of one that `work` throws
 */
export async function asWorkload<T>(
  io: Io,
  flags: WorkloadFlags,
  request: Pick<ConnectOptions, 'x509' | 'jwts' | 'jwtLifetimeSeconds' | 'accessToken' | 'secrets' | 'databases'>,
  work: (purser: Purser) => Promise<T>,
): Promise<T> {
  const { attestor, workload, proofFile, logKey, receipts } = flags
  const controller = new AbortController()
  io.onSignal(['SIGTERM', 'SIGINT'], () => controller.abort())
  const options: ConnectOptions = {
    ...request,
    env: environmentOf(flags, io),
    signal: controller.signal,
    onWarning: (warning) => remark(io, `warning: ${warning}`),
    ...(receipts !== undefined && { receipts }),
    ...(attestor !== undefined && { attestor }),
    ...(workload !== undefined && { workload }),
    ...(proofFile !== undefined && { proof: { file: proofFile } }),
    ...(logKey !== undefined && { logKey }),
  }
  try {
    const purser = await connectAs(io, flags, options, controller.signal)
    try {
      return await work(purser)
    } finally {
      purser.close()
    }
  } catch (error) {
    throw asCliError(error)
  }
}

async function connectAs(io: Io, flags: WorkloadFlags, options: ConnectOptions, signal: AbortSignal): Promise<Purser> {
  // Loaded on demand, so that other verbs start faster.
  const { connect } = await import('@purser/sdk')
  if (!flags.login) return connect(options)
  const { withLogin } = await import('./oidc/login-proof.ts')
  return withLogin(io, flags, signal, ({ attestor, clientId }, proof) =>
    connect({ ...options, attestor, audience: clientId, proof }),
  )
}
