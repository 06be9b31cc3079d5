/** The listeners: their ports free, or this very Purser answering there, and ready. */
import { createServer } from 'node:net'
import type { Config } from '../../config.ts'
import { type Answering, whoAnswers } from './answering.ts'
import { type Finding, codeOf, fail, ok } from './finding.ts'

const check = 'listener'

type Address = Config['listen']

/** `serving`: a Purser of this trust domain answers, so that other checks know that a server runs. */
export async function lookAtListeners(config: Config): Promise<{ serving: boolean; findings: Finding[] }> {
  const { listen, adminListen, metricsListen, crlListen, tls, trustDomain } = config
  const first = await lookAtListener('PURSER_LISTEN', listen, tls.kind !== 'off', trustDomain)
  const findings = [...first.findings]
  if (adminListen) {
    findings.push(
      ...(await lookAtListener('PURSER_ADMIN_LISTEN', adminListen, tls.kind !== 'off', trustDomain)).findings,
    )
  }
  // It says no trust domain: where the main listener is ours, so is this one.
  if (metricsListen && !first.serving) {
    findings.push(...(await lookAtListener('PURSER_METRICS_LISTEN', metricsListen, false, trustDomain)).findings)
  }
  if (crlListen && !first.serving) {
    findings.push(...(await lookAtListener('PURSER_CRL_LISTEN', crlListen, false, trustDomain)).findings)
  }
  return { serving: first.serving, findings }
}

async function lookAtListener(
  setting: string,
  address: Address,
  secure: boolean,
  trustDomain: string,
): Promise<{ serving: boolean; findings: Finding[] }> {
  const where = `${address.host.includes(':') ? `[${address.host}]` : address.host}:${address.port}`
  if (address.port === 0) return { serving: false, findings: [ok(check, `${setting}: the system picks the port`)] }
  const code = await bindFault(address)
  if (code === undefined) return { serving: false, findings: [ok(check, `${where} is free: no server runs here`)] }
  if (code === 'EADDRINUSE') {
    const answer = await whoAnswers(address, secure)
    return { serving: answer?.trustDomain === trustDomain, findings: aboutAnswer(setting, where, answer, trustDomain) }
  }
  const remedy =
    code === 'EACCES'
      ? `take a port above 1023 in ${setting}, or: setcap cap_net_bind_service=+ep "$(readlink -f "$(which node)")"`
      : `name an address of this host in ${setting}: ip address`
  return { serving: false, findings: [fail(check, `${where} can't be listened on (${code})`, { why, do: remedy })] }
}

const why = 'the server does not start'

/** The code of what keeps this process from listening there, as the server would. */
function bindFault({ host, port }: Address): Promise<string | undefined> {
  return new Promise((resolve) => {
    const server = createServer()
    server.once('error', (error) => resolve(codeOf(error) ?? 'unknown'))
    server.listen({ host, port, exclusive: true }, () => server.close(() => resolve(undefined)))
  })
}

function aboutAnswer(setting: string, where: string, answer: Answering | undefined, trustDomain: string): Finding[] {
  if (!answer) {
    const remedy = `ss -ltnp 'sport = :${where.slice(where.lastIndexOf(':') + 1)}' shows which; stop it, or choose another port in ${setting}`
    return [fail(check, `${where} is taken by another program, which is no Purser`, { why, do: remedy })]
  }
  if (answer.trustDomain !== trustDomain) {
    const what = `${where} is taken by the Purser of ${answer.trustDomain}, not of ${trustDomain}`
    return [fail(check, what, { why, do: `stop it, or choose another port in ${setting}` })]
  }
  const { version, failing } = answer
  if (failing.length === 0) return [ok(check, `Purser ${version} answers on ${where}, and is ready`)]
  return [
    fail(check, `the Purser on ${where} is not ready: ${failing.join(', ')}`, {
      why: 'it issues nothing meanwhile, and load balancers send nobody there',
      do: remedies[failing[0] ?? ''] ?? "look at the server's log",
    }),
  ]
}

/** By the names of the checks in /readyz (src/http/operations.ts). */
const remedies: Record<string, string> = {
  database: 'look at the database’s findings here, and for snapshot.refresh_failed in the server’s log',
  appends: 'look at the database’s findings here: it takes no writes, or waits for a synchronous standby',
  log: 'look for log.closed in the server’s log: it names the reason and what to do',
  issuing: 'review workloads, attestors and revocations, then: purser log open --reason "reviewed"',
  serving: 'it is draining: it was told to stop',
}
