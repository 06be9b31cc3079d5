/** What verbs that act as a workload share: how server and proof are found, and one connection while they work. */
import type { ConnectOptions, Purser } from '@purser/sdk'
import { type Command, Option } from 'commander'
import { type ServerFlags, defaultAddr } from './api.ts'
import type { Io } from './io.ts'
import { withServer } from './options.ts'
import { remark } from './output.ts'
import { sdkCall } from './sdk-call.ts'
import { setting } from './settings.ts'

export type WorkloadFlags = ServerFlags & {
  attestor?: string
  workload?: string
  proofFile?: string
  logKey?: string
  receipts?: 'require' | 'warn' | 'off'
}

export function withWorkload(command: Command): Command {
  return withServer(command)
    .option('--attestor <name>', 'where the token alone does not tell (PURSER_ATTESTOR)')
    .option('--workload <name>', 'the workload entry, where several match (PURSER_WORKLOAD)')
    .option('--proof-file <file>', "the orchestrator's token (PURSER_PROOF_FILE; default: what is found here)")
    .option('--log-key <vkey>', "the log's key (PURSER_LOG_KEY)")
    .addOption(
      new Option('--receipts <mode>', 'what becomes of a credential whose receipt does not verify')
        .choices(['require', 'warn', 'off'])
        .default('require'),
    )
}

/** A flag wins over the environment, and then over both of the variables that name roots. */
function environmentOf(flags: WorkloadFlags, io: Io): Io['env'] {
  const given = flags.caFile ?? flags.caSha256
  return {
    ...io.env,
    PURSER_ADDR: setting(io, 'PURSER_ADDR', flags.addr) ?? defaultAddr,
    PURSER_CA_FILE: given === undefined ? io.env.PURSER_CA_FILE : flags.caFile,
    PURSER_CA_SHA256: given === undefined ? setting(io, 'PURSER_CA_SHA256') : flags.caSha256,
  }
}

/**
 * Attests as this workload, and lets go of the connection when `work` is done.
 * @param wanted what the first request asks for
 * @throws CliError in place of what the SDK throws, also of what `work` lets through
 */
export async function asWorkload<T>(
  io: Io,
  flags: WorkloadFlags,
  wanted: Pick<ConnectOptions, 'x509' | 'jwts' | 'jwtLifetimeSeconds' | 'accessToken' | 'secrets' | 'databases'>,
  work: (purser: Purser) => Promise<T>,
): Promise<T> {
  const { attestor, workload, proofFile, logKey, receipts } = flags
  const controller = new AbortController()
  io.onSignal(['SIGTERM', 'SIGINT'], () => controller.abort())
  const options: ConnectOptions = {
    ...wanted,
    env: environmentOf(flags, io),
    signal: controller.signal,
    onWarning: (warning) => remark(io, `warning: ${warning}`),
    ...(receipts !== undefined && { receipts }),
    ...(attestor !== undefined && { attestor }),
    ...(workload !== undefined && { workload }),
    ...(proofFile !== undefined && { proof: { file: proofFile } }),
    ...(logKey !== undefined && { logKey }),
  }
  // Loaded here, so that no other verb waits for it.
  const { connect } = await import('@purser/sdk')
  const purser = await sdkCall(() => connect(options))
  try {
    return await sdkCall(() => work(purser))
  } finally {
    purser.close()
  }
}
