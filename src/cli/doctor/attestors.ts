/** Checks each attestor as `purser attestor check` does, and reads the time from the replies. */
import { readFile } from 'node:fs/promises'
import { joinTokenKind } from '../../attest/attest.ts'
import type { Finding as Checked } from '../../attest/attestor.ts'
import { createAttestor } from '../../attest/kinds.ts'
import { loginsOf } from '../../attest/logins.ts'
import type { Config } from '../../config.ts'
import { createOutbound } from '../../outbound/client.ts'
import type { AttestorRow } from '../../store/rows.ts'
import { type ClockReading, withClockReadings } from './clock.ts'
import { type Finding, collectOr, fail, note, ok, warn } from './finding.ts'

const check = 'attestor'
const noLog = { info: () => undefined, warn: () => undefined }

export async function checkAttestors(
  rows: Iterable<AttestorRow>,
  { fetchAllow, audiences }: Pick<Config, 'fetchAllow' | 'audiences'>,
  now: () => Date,
): Promise<{ findings: Finding[]; readings: ClockReading[] }> {
  const configured = [...rows].filter(({ kind }) => kind !== joinTokenKind)
  if (configured.length === 0) {
    const remedy = 'purser attestor create --help'
    return {
      findings: [note(check, 'none is configured: workloads can attest with join tokens only', { do: remedy })],
      readings: [],
    }
  }
  const outbound = createOutbound({ allow: fetchAllow })
  const readings: ClockReading[] = []
  try {
    const results = await Promise.all(
      configured.map(async (row) => {
        const parts = {
          outbound: withClockReadings(outbound, (reading) => readings.push({ ...reading, attestor: row.name }), now),
          clock: () => performance.now(),
          readFile: (path: string) => readFile(path, 'utf8'),
          log: noLog,
        }
        const checks = await createAttestor(row, parts).check(now())
        const works = ok(check, `${row.name}: works`)
        return collectOr(works, ...checks.map((result) => judge(row, result)), judgeAudience(row, audiences))
      }),
    )
    return { findings: results.flat(), readings }
  } finally {
    outbound.close()
  }
}

function judge(row: AttestorRow, { ok, what, detail = 'no' }: Checked): Finding | undefined {
  if (ok) return undefined
  return fail(check, `${row.name}: ${what}: ${detail}`, {
    why: 'its workloads cannot attest once the keys that a running server has cached are too old (PURSER_KEEP_ISSUER_KEYS_SECONDS)',
    do: `${remedyFor(row, detail)}; then: purser attestor check ${row.name}`,
  })
}

function remedyFor({ name, issuer = '', kind }: AttestorRow, detail: string): string {
  if (detail.includes('may not create tokenreviews')) {
    return (
      'in the cluster: kubectl create clusterrole purser-reviewer --verb=create --resource=tokenreviews.authentication.k8s.io' +
      ' && kubectl create clusterrolebinding purser-reviewer --clusterrole=purser-reviewer --serviceaccount=NAMESPACE:ACCOUNT'
    )
  }
  if (detail.includes('PURSER_FETCH_ALLOW') || /\bnot_allowed:/.test(detail)) {
    return 'if you trust its origin, add it to PURSER_FETCH_ALLOW and restart the server'
  }
  if (/\btls:/.test(detail)) {
    return `set the roots of its server (caPem; for a cluster --api-ca): purser attestor get ${name}`
  }
  const document = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  if (kind === 'kubernetes')
    return `check the address of its API server and its token file: purser attestor get ${name}`
  return `from this host: curl -v ${document}`
}

/** Clients request tokens for the audiences that the server announces. */
function judgeAudience(row: AttestorRow, audiences: readonly string[]): Finding | undefined {
  const { name, audience } = row
  const isLogin = loginsOf([row]).length > 0
  if (audience === undefined || isLogin || audiences.includes(audience)) return undefined
  return warn(check, `${name}: accepts proofs for ${audience}, which PURSER_AUDIENCES lacks`, {
    why: 'clients send a proof only if the server announces its audience',
    do: `add ${audience} to PURSER_AUDIENCES`,
  })
}
