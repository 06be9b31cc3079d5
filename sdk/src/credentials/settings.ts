/** Options and environment variables, validated, with the alternatives that were passed over. */
import { readAddress } from '../connection/address.ts'
import { checkDatabases } from './role.ts'
import { PurserError } from '../errors.ts'
import type { ConnectOptions, X509Option } from '../types/options.ts'
import { chooseProof } from '../proof/choose.ts'
import { checkSecretOptions } from './secret.ts'
import { chooseTrust } from '../connection/trust.ts'
import { VerifyError } from '../verify/errors.ts'
import { parseVkey } from '../verify/vkey.ts'
import type { SecretOption } from '../types/secrets.ts'
import type { Choice } from '../types/purser.ts'

/** The credentials that one request includes. */
export type Selection = {
  x509?: X509Option
  jwts: readonly string[]
  accessToken?: { lifetimeSeconds?: number }
  /** Only in the first request. */
  secrets?: readonly SecretOption[]
  /** In the first request, and in a separate request for each further role. */
  databases?: readonly string[]
}

export type Settings = Awaited<ReturnType<typeof readSettings>>

const bad = (why: string): PurserError => new PurserError('bad_options', why)

const names: Record<keyof ConnectOptions, true> = {
  addr: true,
  ca: true,
  allowPlainLoopback: true,
  audience: true,
  attestor: true,
  workload: true,
  proof: true,
  x509: true,
  jwts: true,
  jwtLifetimeSeconds: true,
  accessToken: true,
  secrets: true,
  databases: true,
  logKey: true,
  receipts: true,
  renewAt: true,
  stateDir: true,
  signal: true,
  timeoutMs: true,
  onWarning: true,
  env: true,
}

/** @throws PurserError `bad_options` */
export async function readSettings(options: ConnectOptions) {
  const unknown = Object.keys(options).filter((name) => !Object.hasOwn(names, name))
  if (unknown.length > 0) throw bad(`unknown option: ${unknown.join(', ')}`)
  const env = options.env ?? process.env
  const from = (option: string | undefined, name: string): string | undefined => option ?? (env[name] || undefined)

  const addr = from(options.addr, 'PURSER_ADDR')
  if (addr === undefined) throw bad("the server's address is missing: give the option addr or set PURSER_ADDR")
  const address = readAddress(addr, options.allowPlainLoopback === true)
  const trust = await chooseTrust(address, options.ca, env)
  const proof = chooseProof(options.proof, env)
  const where = options.addr === undefined ? 'PURSER_ADDR' : 'option addr'
  const { receipts = 'require', timeoutMs = 10_000, jwtLifetimeSeconds, renewAt } = options
  if (!['require', 'warn', 'off'].includes(receipts)) throw bad("receipts is 'require', 'warn' or 'off'")
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1) throw bad('timeoutMs is a positive integer, in milliseconds')
  if (renewAt !== undefined && !(renewAt >= 0.1 && renewAt <= 0.9)) throw bad('renewAt is a number from 0.1 to 0.9')
  const chosen: Choice[] = [
    { about: 'server', chosen: `${address.origin} (${where})`, dismissed: [] },
    { about: 'trust', chosen: trust.chosen, dismissed: trust.dismissed },
    { about: 'proof', chosen: proof.chosen, dismissed: proof.dismissed },
  ]
  return {
    address,
    trust,
    proof,
    audience: from(options.audience, 'PURSER_AUDIENCE'),
    attestor: from(options.attestor, 'PURSER_ATTESTOR'),
    workload: from(options.workload, 'PURSER_WORKLOAD'),
    selection: selectionOf(options),
    jwtLifetimeSeconds,
    logKeys: readLogKeys(options.logKey ?? env.PURSER_LOG_KEY),
    receipts,
    stateDir: from(options.stateDir, 'PURSER_STATE_DIR'),
    /** Fraction of a lifetime. */
    renewAt,
    timeoutMs,
    chosen,
  }
}

function selectionOf(options: ConnectOptions): Selection {
  const { x509 = true, jwts = [], accessToken = false, secrets = [], databases = [] } = options
  return {
    ...(x509 !== false && { x509: x509 === true ? {} : x509 }),
    jwts: [...new Set(jwts)],
    ...(accessToken !== false && { accessToken: accessToken === true ? {} : accessToken }),
    ...(secrets.length > 0 && { secrets: checkSecretOptions(secrets) }),
    ...(databases.length > 0 && { databases: checkDatabases(databases) }),
  }
}

function readLogKeys(value: string | readonly string[] | undefined): string[] {
  const vkeys = typeof value === 'string' ? value.split(/[\s,]+/).filter(Boolean) : [...(value ?? [])]
  for (const vkey of vkeys) {
    try {
      parseVkey(vkey)
    } catch (error) {
      if (!(error instanceof VerifyError)) throw error
      throw bad(
        `the log's key (logKey, PURSER_LOG_KEY) is not a verifier key: ${error.message}. GET /log/keys lists the keys`,
      )
    }
  }
  return vkeys
}
