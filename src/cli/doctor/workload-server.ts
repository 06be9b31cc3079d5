/** Checks the server in PURSER_ADDR: it resolves, answers, is verified, and is ready. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { PurserError, createConnector } from '@purser/sdk/connection'
import { CliError, codeOf } from '../io.ts'
import { createWire, jsonOf, textOf } from '../wire.ts'
import { judgeClock, readDateHeader } from './clock.ts'
import { type Finding, collect, fail, note, ok, skipped } from './finding.ts'
import { isMembers } from '../../json/members.ts'

export type Env = Readonly<Record<string, string | undefined>>
export type ServerInfo = NonNullable<ReturnType<typeof infoOf>>
type Result = { info?: ServerInfo; findings: Finding[] }

const timeoutMs = 10_000
const why = 'credentials cannot be fetched or renewed; current ones work until they expire'

export async function checkServer(env: Env, now: () => Date): Promise<Result> {
  const addr = env.PURSER_ADDR
  if (!addr) {
    const remedy = 'export PURSER_ADDR=https://purser.example.org:8443'
    return { findings: [fail('address', 'PURSER_ADDR is not set', { why, do: remedy }), later] }
  }
  const unresolved = await lookUp(addr)
  if (unresolved) return { findings: [unresolved, later] }
  try {
    const connector = await createConnector({ addr, env, timeoutMs })
    const socket = await connector.connect()
    socket.destroy()
  } catch (error) {
    if (!(error instanceof PurserError)) throw error
    return { findings: [connectionFault(addr, error), later] }
  }
  const reached = [ok('address', `${addr} answers`), ok('trust', `verified by ${describeTrust(env)}`)]
  const result = await examine(addr, env, now)
  return { ...result, findings: [...reached, ...result.findings] }
}

const later = skipped('server', 'not checked: it was not reached')

function describeTrust(env: Env): string {
  if (env.PURSER_CA_FILE) return `the roots in ${env.PURSER_CA_FILE} (PURSER_CA_FILE)`
  if (env.PURSER_CA_SHA256) return `the root whose SHA-256 is in PURSER_CA_SHA256`
  return 'the roots that come with Node.js (neither PURSER_CA_FILE nor PURSER_CA_SHA256 is set)'
}

async function lookUp(addr: string): Promise<Finding | undefined> {
  const host = URL.canParse(addr) ? new URL(addr).hostname.replace(/^\[|\]$/g, '') : ''
  if (host === '' || isIP(host) !== 0) return undefined
  try {
    await lookup(host)
    return undefined
  } catch (error) {
    const what = `${host} does not resolve (${codeOf(error) ?? 'unknown'})`
    return fail('address', what, { why, do: `check PURSER_ADDR: getent hosts ${host}` })
  }
}

function connectionFault(addr: string, error: PurserError): Finding {
  const reason = error.message
  switch (error.code) {
    case 'bad_options': {
      const check = /PURSER_CA|fingerprint/.test(reason) ? 'trust' : 'address'
      return fail(check, reason, { why })
    }
    case 'fingerprint_mismatch': {
      const remedy =
        'get the fingerprint from ca.pem in the server’s data directory: openssl x509 -in ca.pem -noout -fingerprint -sha256'
      return fail('trust', `no root of ${addr} has the fingerprint in PURSER_CA_SHA256`, { why: reason, do: remedy })
    }
    case 'untrusted_server': {
      const remedy = 'export PURSER_CA_FILE=/path/to/ca.pem, with ca.pem from the server’s data directory'
      return fail('trust', `the certificate of ${addr} does not verify`, { why: reason, do: remedy })
    }
  }
  const cause = codeOf(error.cause) ?? error.code
  const { host = addr } = URL.canParse(addr) ? new URL(addr) : {}
  const remedy = `check the server, PURSER_ADDR and network policies: nc -vz ${host.replace(/:(\d+)$/, ' $1')}`
  return fail('address', `${addr} cannot be reached (${cause})`, { why, do: remedy })
}

async function examine(addr: string, env: Env, now: () => Date): Promise<Result> {
  const wire = createWire({ addr, env })
  try {
    const before = now()
    const reply = await wire.send({ method: 'GET', path: '/api/v1/server', headers: {} })
    const reading = readDateHeader('the server', reply.headers.date, before, now())
    const clock = judgeClock(reading ? [reading] : [])
    const info = infoOf(jsonOf(await textOf(reply)))
    if (!info) {
      const remedy = `check that PURSER_ADDR is a Purser server: curl -k ${addr}/api/v1/server`
      return { findings: [fail('server', `${addr} is not a Purser server`, { why, do: remedy }), ...clock] }
    }
    const ready = await wire.send({ method: 'GET', path: '/readyz', headers: {} })
    return { info, findings: [...judgeServer(info, jsonOf(await textOf(ready))), ...clock] }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return { findings: [fail('server', error.message, { why })] }
  } finally {
    wire.close()
  }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((item) => typeof item === 'string')

function infoOf(value: unknown) {
  if (!isMembers(value)) return undefined
  const { version, trustDomain, audiences, features, logKeys, epoch } = value
  if (typeof version !== 'string' || typeof trustDomain !== 'string' || typeof epoch !== 'number') return undefined
  if (!isTexts(audiences) || !isTexts(features) || !isTexts(logKeys)) return undefined
  return { version, trustDomain, audiences, features, logKeys, epoch }
}

/** The features that the SDK uses; a server without one is older than the client. */
const usedFeatures = ['x509', 'jwt', 'access-token', 'renewal']

function judgeServer({ version, trustDomain, features }: ServerInfo, readiness: unknown): Finding[] {
  const checks = isMembers(readiness) && Array.isArray(readiness.checks) ? readiness.checks : []
  const failing = checks.flatMap((check) => (isMembers(check) && check.ok === false ? [String(check.name)] : []))
  const lacking = usedFeatures.filter((feature) => !features.includes(feature))
  const unready = `the server is not ready: ${failing.join(', ')}`
  const older = `Purser ${version} does not offer ${lacking.join(', ')}`
  return collect(
    failing.length > 0 && fail('server', unready, { why, do: "on the server's host, run: purser doctor" }),
    lacking.length > 0 && note('server', older, { do: 'update the server' }),
    ok('server', `Purser ${version} of ${trustDomain}, offers ${features.join(', ')}`),
  )
}
