/**
 * The entries of a filled log: entry n is always the same, so that the bench knows what to search for. There is a workload
 * for each hundred entries, and the busiest have far more entries than most, as in real installations.
 *
 * Texts are written in their canonical form, since `canonicalize` takes three times as long as everything else here.
 */
import { hash } from 'node:crypto'
import { termKeys } from '../../src/store/term-keys.ts'

/** `first`: the time of entry 0. The entries follow at 100 a second. */
export type LogShape = { size: number; first: number; keyId: string; attestorId: string }

export type FilledEntry = { body: string; terms: number[]; time: number }

const jwtKey = 'k8lVb-P1JQ190e0ZNEkBe4h9xxMFy2Ks7wAO7rlxIm4'
const everyMs = 10
const hourMs = 3600_000

export const workloadsOf = (size: number): number => Math.max(100, Math.floor(size / 100))
/** The time of entry 0 of a log that ends now. */
export const firstTime = (size: number): number => Date.now() - size * everyMs

/** 128 hex digits that belong to a number. */
const digitsOf = (n: number): string => hash('sha512', `entry ${n}`)

/** A time to the second. Neighbours share it, and a new text takes longer than the rest of an entry. */
const texts = new Map<number, string>()
function secondsOf(time: number): string {
  const second = Math.floor(time / 1000)
  const text = texts.get(second) ?? new Date(second * 1000).toISOString().slice(0, 19)
  if (!texts.has(second) && texts.size > 10_000) texts.clear()
  texts.set(second, text)
  return text
}

/** The first 52 bits of an id: `termKeys` without the search for its kind. */
const idKey = (id: string): number => 2 ** 52 + Number.parseInt(id.slice(0, 13), 16)
const keyOf = (term: string): number => termKeys([term])[0] ?? 0

const constantTerms = [
  'action=credentials.issue',
  'action=secret.read',
  'action=token.introspect',
  'action=secret.put',
  'action=revocation.create',
  'outcome=granted',
  'outcome=refused',
  'reason=no_workload',
  'actor=workload',
  'actor=operator',
  'actor=anonymous',
  'attestor=bench',
]
const constant = Object.fromEntries(constantTerms.map((term) => [term, keyOf(term)]))
const constants = (...terms: string[]): number[] => terms.map((term) => constant[term] ?? 0)

type Workload = {
  selectors: string
  /** The members of an actor up to its session, and after it. */
  spiffeId: string
  workloadId: string
  path: string
  secretId: string
  ip: string
  keys: { own: number[]; ip: number; selectors: number[]; path: number }
}

function createWorkload(n: number): Workload {
  const [ns, sub] = [`team-${n % 1000}`, `app-${n}`]
  const [spiffeId, path] = [`spiffe://bench.example/bench/app-${n}`, `filled/app-${n}/db`]
  const ip = `10.${(n >> 16) & 255}.${(n >> 8) & 255}.${n & 255}`
  return {
    selectors: `{"oidc:ns":"${ns}","oidc:sub":"${sub}"}`,
    spiffeId,
    workloadId: `wl_${hash('md5', `e${n}`)}`,
    path,
    secretId: `sec_${hash('md5', `s${n}`)}`,
    ip,
    keys: {
      own: termKeys([`spiffeId=${spiffeId}`, `workload=filled-${n}`]),
      ip: keyOf(`sourceIp=${ip}`),
      selectors: termKeys([`selector=oidc:ns=${ns}`, `selector=oidc:sub=${sub}`]),
      path: keyOf(`path=${path}`),
    },
  }
}

const workloads = new Map<number, Workload>()
function workloadAt(n: number): Workload {
  const workload = workloads.get(n) ?? createWorkload(n)
  workloads.set(n, workload)
  return workload
}

/** Each workload has one session an hour. */
const sessionOf = (workload: number, time: number): string => hash('md5', `s${workload}-${Math.floor(time / hourMs)}`)

type Parts = { action: string; actor: string; issued?: string; more?: string; end?: string; keys: number[] }

/** The text and the keys of the members, in the order of `entryTerms`. */
export function entryAt(shape: LogShape, n: number): FilledEntry {
  const digits = digitsOf(n)
  const time = shape.first + n * everyMs
  // A cube: of a few workloads there are many entries, of most about thirty.
  const share = Number.parseInt(digits.slice(8, 20), 16) / 2 ** 48
  const place = Math.floor(workloadsOf(shape.size) * share ** 3)
  const workload = workloadAt(place)
  const requestId = digits.slice(0, 32)
  const session = sessionOf(place, time)

  const acting = (attested: boolean): string =>
    `{${attested ? '"attestor":"bench",' : ''}"attestorId":"${shape.attestorId}","kind":"workload","revision":1,` +
    `${attested ? `"selectors":${workload.selectors},` : ''}"session":"ses_${session}","spiffeId":"${workload.spiffeId}",` +
    `"workload":"filled-${place}","workloadId":"${workload.workloadId}"}`
  const workloadKeys = (attested: boolean): number[] => [
    ...constants('actor=workload'),
    ...workload.keys.own,
    ...(attested ? constants('attestor=bench') : []),
    idKey(session),
    workload.keys.ip,
    ...(attested ? workload.keys.selectors : []),
  ]
  const serialNumber = digits.slice(32, 64)
  const [sha256, publicKey, jti] = [digits.slice(64), digits.slice(20, 84), digits.slice(10, 42)]
  const x509 = (): string =>
    `"x509":{"dnsNames":["app-${place}.bench"],"keyId":"${shape.keyId}","notAfter":"${secondsOf(time + hourMs)}Z",` +
    `"publicKeySha256":"${publicKey}","serialNumber":"${serialNumber}","sha256":"${sha256}"}`
  const jwts = (): string =>
    `"jwts":[{"audience":["payments"],"expiresAt":"${secondsOf(time + 300_000)}Z","jti":"${jti}","keyId":"${jwtKey}"}]`
  const secrets = (): string => `"secrets":[{"path":"${workload.path}","version":1}]`
  const x509Keys = (): number[] => [idKey(serialNumber), idKey(sha256), idKey(publicKey)]
  const tokenId = digits.slice(40, 72)
  const operator = (): string => `{"kind":"operator","operator":"operator-${n % 20}","tokenId":"tok_${tokenId}"}`
  const operatorKeys = (): number[] => [...constants('actor=operator'), keyOf(`actor=operator-${n % 20}`), workload.keys.ip, idKey(tokenId)] // prettier-ignore

  const issuance = (issued: string, keys: number[]): Parts => ({
    action: 'credentials.issue',
    actor: acting(true),
    issued: `{${issued}}`,
    keys: [...workloadKeys(true), ...keys],
  })

  /** Of a thousand entries: 450 X.509, 250 JWT, 100 both with a secret, 120 reads, 40 refusals, and the rest. */
  function parts(): Parts {
    const kind = Number.parseInt(digits.slice(0, 8), 16) % 1000
    if (kind < 450) return issuance(x509(), x509Keys())
    if (kind < 700) return issuance(jwts(), [idKey(jti)])
    if (kind < 800) return issuance(`${jwts()},${secrets()},${x509()}`, [...x509Keys(), idKey(jti), workload.keys.path])
    if (kind < 920) {
      const keys = [...workloadKeys(false), workload.keys.path]
      return { action: 'secret.read', actor: acting(false), issued: `{${secrets()}}`, keys }
    }
    if (kind < 960) {
      const actor = `{"attestor":"bench","kind":"anonymous","selectors":${workload.selectors}}`
      const keys = [...constants('reason=no_workload', 'actor=anonymous', 'attestor=bench'), workload.keys.ip, ...workload.keys.selectors] // prettier-ignore
      return { action: 'credentials.issue', actor, end: '"reason":"no_workload",', keys }
    }
    if (kind < 980) return { action: 'token.introspect', actor: acting(false), keys: workloadKeys(false) }
    if (kind < 999) {
      const resource = `"resource":{"id":"${workload.secretId}","kind":"secret","name":"${workload.path}","revision":2},`
      const keys = [...operatorKeys(), keyOf(`resource=secret/${workload.path}`), workload.keys.path, keyOf(`revision=secret/${workload.secretId}/2`)] // prettier-ignore
      return { action: 'secret.put', actor: operator(), more: '"detail":{"source":"put"},', end: resource, keys }
    }
    const revoked = digitsOf(Math.max(0, n - 500)).slice(32, 64)
    const id = `rev_${digits.slice(64, 96)}`
    return {
      action: 'revocation.create',
      actor: operator(),
      more: `"change":{"after":{"reason":"superseded","serialNumber":"${revoked}"}},`,
      end: `"resource":{"id":"${id}","kind":"revocation"},"revoked":{"serialNumbers":["${revoked}"]},`,
      keys: [...operatorKeys(), idKey(revoked), keyOf(`resource=revocation/${id}`)],
    }
  }

  const { action, actor, issued, more = '', end = '', keys } = parts()
  const outcome = end.startsWith('"reason"') ? 'refused' : 'granted'
  const body =
    `{"action":"${action}","actor":${actor},${more}${issued === undefined ? '' : `"issued":${issued},`}"outcome":"${outcome}",` +
    `${outcome === 'refused' ? end : ''}"requestId":"req_${requestId}",${outcome === 'refused' ? '' : end}` +
    `"source":{"ip":"${workload.ip}"},"time":"${secondsOf(time)}.${String(time % 1000).padStart(3, '0')}Z","v":1}`
  return { body, time, terms: [...constants(`action=${action}`, `outcome=${outcome}`), idKey(requestId), ...keys] }
}
