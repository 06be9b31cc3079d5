/** Checks the listeners: each port is free, or this Purser answers there and is ready. */
import { createServer } from 'node:net'
import type { Config } from '../../config.ts'
import { type Answering, identifyServer } from './answering.ts'
import { codeOf } from '../io.ts'
import { type Finding, fail, ok } from './finding.ts'

const check = 'listener'

type Address = Config['listen']

/** `serving`: a Purser server of this trust domain runs here. */
export async function checkListeners(config: Config): Promise<{ serving: boolean; findings: Finding[] }> {
  const { listen, adminListen, metricsListen, crlListen, tls, trustDomain } = config
  const secure = tls.kind !== 'off'
  const { serving, findings } = await checkListener('PURSER_LISTEN', listen, secure, trustDomain)
  const others: [string, Address | undefined, boolean][] = [
    ['PURSER_ADMIN_LISTEN', adminListen, secure],
    // These do not tell their trust domain: they belong to this server if the main listener does.
    ['PURSER_METRICS_LISTEN', serving ? undefined : metricsListen, false],
    ['PURSER_CRL_LISTEN', serving ? undefined : crlListen, false],
  ]
  for (const [setting, address, isSecure] of others) {
    if (address) findings.push(...(await checkListener(setting, address, isSecure, trustDomain)).findings)
  }
  return { serving, findings }
}

async function checkListener(
  setting: string,
  address: Address,
  secure: boolean,
  trustDomain: string,
): Promise<{ serving: boolean; findings: Finding[] }> {
  const where = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
  if (address.port === 0) return { serving: false, findings: [ok(check, `${setting}: the system chooses the port`)] }
  const code = await bindFault(address)
  if (code === undefined) return { serving: false, findings: [ok(check, `${where} is free: no server runs here`)] }
  if (code === 'EADDRINUSE') {
    const answer = await identifyServer(address, secure)
    return {
      serving: answer?.trustDomain === trustDomain,
      findings: [judgeAnswer(setting, where, answer, trustDomain)],
    }
  }
  const remedy =
    code === 'EACCES'
      ? `use a port above 1023 in ${setting}, or: setcap cap_net_bind_service=+ep "$(readlink -f "$(which node)")"`
      : `set ${setting} to an address of this host: ip address`
  return { serving: false, findings: [fail(check, `cannot listen on ${where} (${code})`, { why, do: remedy })] }
}

const why = 'the server does not start'

/** The error code when this process cannot listen there. */
function bindFault({ host, port }: Address): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(codeOf(error) ?? 'unknown'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

function judgeAnswer(setting: string, where: string, answer: Answering | undefined, trustDomain: string): Finding {
  if (!answer) {
    const remedy = `find it: ss -ltnp 'sport = :${where.slice(where.lastIndexOf(':') + 1)}'; stop it, or set another port in ${setting}`
    return fail(check, `${where} is in use by another program`, { why, do: remedy })
  }
  if (answer.trustDomain !== trustDomain) {
    const what = `${where} is in use by the Purser of ${answer.trustDomain}, not of ${trustDomain}`
    return fail(check, what, { why, do: `stop it, or set another port in ${setting}` })
  }
  const { version, failing } = answer
  if (failing.length === 0) return ok(check, `Purser ${version} answers on ${where}, and is ready`)
  return fail(check, `the Purser on ${where} is not ready: ${failing.join(', ')}`, {
    why: 'it issues nothing, and load balancers send no requests there',
    do: remedies[failing[0] ?? ''] ?? "read the server's log",
  })
}

/** By the names of the checks in /readyz (src/http/operations.ts). */
const remedies: Record<string, string> = {
  database: 'fix the findings of the database here, and look for snapshot.refresh_failed in the server’s log',
  appends: 'fix the findings of the database here: it refuses writes, or waits for a synchronous standby',
  log: 'look for log.closed in the server’s log, which names the reason and the remedy',
  issuing: 'review workloads, attestors and revocations, then: purser log open --reason "reviewed"',
  serving: 'it is shutting down: start it again',
}
