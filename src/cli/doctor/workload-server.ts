/** The server that PURSER_ADDR names: found, reached, verified, and what it says of itself. */
import { lookup } from 'node:dns/promises'
import { isIP } from 'node:net'
import { PurserError, createConnector } from '@purser/sdk/connection'
import { CliError } from '../io.ts'
import { createWire, jsonOf, textOf } from '../wire.ts'
import { heardFrom, judgeClock } from './clock.ts'
import { type Finding, codeOf, fail, note, ok, skipped } from './finding.ts'
import { isMembers } from '../../json/members.ts'

export type Env = Readonly<Record<string, string | undefined>>
export type ServerInfo = {
  version: string
  trustDomain: string
  audiences: string[]
  features: string[]
  logKeys: string[]
  epoch: number
}
type Looked = { info?: ServerInfo; findings: Finding[] }

const timeoutMs = 10_000
const why = 'nothing can be fetched or renewed; what is held works until it expires'

export async function lookAtServer(env: Env, now: () => Date): Promise<Looked> {
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
  const reached = [ok('address', `${addr} is reached`), ok('trust', `verified by ${trustWords(env)}`)]
  const asked = await ask(addr, env, now)
  return { ...asked, findings: [...reached, ...asked.findings] }
}

const later = skipped('server', 'what it says of itself was not asked')

function trustWords(env: Env): string {
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
    return fail('address', what, { why, do: `is PURSER_ADDR right? getent hosts ${host}` })
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
        'take the fingerprint from the server’s own ca.pem: openssl x509 -in ca.pem -noout -fingerprint -sha256'
      return fail('trust', `${addr} has no root with the fingerprint of PURSER_CA_SHA256`, { why: reason, do: remedy })
    }
    case 'untrusted_server': {
      const remedy = 'export PURSER_CA_FILE=/path/to/ca.pem: the file ca.pem of the server’s data directory'
      return fail('trust', `${addr} is not verified`, { why: reason, do: remedy })
    }
  }
  const cause = codeOf(error.cause) ?? error.code
  const { host = addr } = URL.canParse(addr) ? new URL(addr) : {}
  const remedy = `is the server up, and PURSER_ADDR right? nc -vz ${host.replace(/:(\d+)$/, ' $1')}; a network policy may forbid it`
  return fail('address', `${addr} can't be reached (${cause})`, { why, do: remedy })
}

async function ask(addr: string, env: Env, now: () => Date): Promise<Looked> {
  const wire = createWire({ addr, env })
  try {
    const before = now()
    const reply = await wire.send({ method: 'GET', path: '/api/v1/server', headers: {} })
    const heard = heardFrom('the server', reply.headers.date, before, now())
    const clock = judgeClock(heard ? [heard] : [])
    const info = infoOf(jsonOf(await textOf(reply)))
    if (!info) {
      const remedy = `curl -k ${addr}/api/v1/server; is PURSER_ADDR the address of a Purser?`
      return { findings: [fail('server', `${addr} does not answer as a Purser`, { why, do: remedy }), ...clock] }
    }
    const ready = await wire.send({ method: 'GET', path: '/readyz', headers: {} })
    return { info, findings: [...aboutServer(info, jsonOf(await textOf(ready))), ...clock] }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    return { findings: [fail('server', error.message, { why })] }
  } finally {
    wire.close()
  }
}

const isTexts = (value: unknown): value is string[] =>
  Array.isArray(value) && value.every((one) => typeof one === 'string')

function infoOf(value: unknown): ServerInfo | undefined {
  if (!isMembers(value)) return undefined
  const { version, trustDomain, audiences, features, logKeys, epoch } = value
  if (typeof version !== 'string' || typeof trustDomain !== 'string' || typeof epoch !== 'number') return undefined
  if (!isTexts(audiences) || !isTexts(features) || !isTexts(logKeys)) return undefined
  return { version, trustDomain, audiences, features, logKeys, epoch }
}

/** What the SDK may ask for; a server that lacks one is older than the client. */
const wanted = ['x509', 'jwt', 'access-token', 'renewal']

function aboutServer({ version, trustDomain, features }: ServerInfo, readiness: unknown): Finding[] {
  const checks = isMembers(readiness) && Array.isArray(readiness.checks) ? readiness.checks : []
  const failing = checks.flatMap((check) => (isMembers(check) && check.ok === false ? [String(check.name)] : []))
  const findings: Finding[] = []
  if (failing.length > 0) {
    const remedy = "on the server's host: purser doctor"
    findings.push(fail('server', `it is not ready: ${failing.join(', ')}`, { why, do: remedy }))
  }
  const lacking = wanted.filter((one) => !features.includes(one))
  if (lacking.length > 0) {
    findings.push(note('server', `Purser ${version} does not offer ${lacking.join(', ')}`, { do: 'update the server' }))
  }
  return [...findings, ok('server', `Purser ${version} of ${trustDomain}, offers ${features.join(', ')}`)]
}
