/** Each attestor, as `purser attestor check` asks it; what their answers say of the time is kept for the clock. */
import { readFile } from 'node:fs/promises'
import { joinTokenKind } from '../../attest/attest.ts'
import type { Finding as Checked } from '../../attest/attestor.ts'
import { createAttestor } from '../../attest/kinds.ts'
import type { Config } from '../../config.ts'
import { createOutbound } from '../../outbound/client.ts'
import type { AttestorRow } from '../../store/rows.ts'
import { type Heard, hearing } from './clock.ts'
import { type Finding, fail, note, ok, warn } from './finding.ts'

const check = 'attestor'
const silent = { info: () => undefined, warn: () => undefined }

export async function lookAtAttestors(
  rows: Iterable<AttestorRow>,
  { fetchAllow, audiences }: Pick<Config, 'fetchAllow' | 'audiences'>,
  now: () => Date,
): Promise<{ findings: Finding[]; heard: Heard[] }> {
  const configured = [...rows].filter(({ kind }) => kind !== joinTokenKind)
  if (configured.length === 0) {
    const remedy = 'purser attestor create --help'
    return {
      findings: [note(check, 'none is configured: only join tokens let workloads in', { do: remedy })],
      heard: [],
    }
  }
  const outbound = createOutbound({ allow: fetchAllow })
  const heard: Heard[] = []
  try {
    const found = await Promise.all(
      configured.map(async (row): Promise<Finding[]> => {
        const parts = {
          outbound: hearing(outbound, (one) => heard.push({ ...one, attestor: row.name }), now),
          clock: () => performance.now(),
          readFile: (path: string) => readFile(path, 'utf8'),
          log: silent,
        }
        const checks = await createAttestor(row, parts).check(now())
        return [...checks.flatMap((check) => judge(row, check)), ...aboutAudience(row, audiences)]
      }),
    )
    const findings = found.map((list, n) => (list.length > 0 ? list : [ok(check, `${configured[n]?.name}: answers`)]))
    return { findings: findings.flat(), heard }
  } finally {
    outbound.close()
  }
}

function judge(row: AttestorRow, { ok: good, what, detail = 'no' }: Checked): Finding[] {
  if (good) return []
  return [
    fail(check, `${row.name}: ${what}: ${detail}`, {
      why: 'its workloads can not prove who they are, once the keys are old that a running server has (PURSER_KEEP_ISSUER_KEYS_SECONDS)',
      do: `${remedyFor(row, detail)}; then: purser attestor check ${row.name}`,
    }),
  ]
}

function remedyFor({ name, issuer = '', kind }: AttestorRow, detail: string): string {
  if (detail.includes('may not create tokenreviews')) {
    return (
      'in the cluster: kubectl create clusterrole purser-reviewer --verb=create --resource=tokenreviews.authentication.k8s.io' +
      ' && kubectl create clusterrolebinding purser-reviewer --clusterrole=purser-reviewer --serviceaccount=NAMESPACE:ACCOUNT'
    )
  }
  if (detail.includes('PURSER_FETCH_ALLOW') || /\bnot_allowed:/.test(detail)) {
    return 'list its origin in PURSER_FETCH_ALLOW and restart, if it is one that you mean'
  }
  if (/\btls:/.test(detail)) {
    return `give it the roots of whoever answers (caPem; for a cluster --api-ca): purser attestor get ${name}`
  }
  const document = `${issuer.replace(/\/$/, '')}/.well-known/openid-configuration`
  if (kind === 'kubernetes') return `look at its API server, address and token file: purser attestor get ${name}`
  return `from this host: curl -v ${document}`
}

/** What clients are told to ask their orchestrator for. */
function aboutAudience({ name, audience }: AttestorRow, audiences: readonly string[]): Finding[] {
  if (audience === undefined || audiences.includes(audience)) return []
  return [
    warn(check, `${name}: takes proofs for ${audience}, which PURSER_AUDIENCES lacks`, {
      why: 'clients send a proof only where the server names its audience',
      do: `add ${audience} to PURSER_AUDIENCES`,
    }),
  ]
}
