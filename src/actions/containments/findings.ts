/** What the log says that a caller received, read and changed. */
import type { LogEntry } from '../../audit/entry.ts'
import { matches } from '../../names/selectors.ts'
import type { Item } from '../../store/containment-items.ts'
import type { Subject } from '../../store/containments.ts'
import { type IssuedCredential, credentialsOf } from '../../store/issued.ts'
import type { Traces } from '../../store/traces.ts'
import { selectorTerms } from './subject.ts'

/**
 * The terms of the caller's entries. A request with an access token names its session, and neither attestor nor selectors.
 * @param sessions of the subject
 */
export function tracesOf(subject: Subject, sessions: readonly string[]): Traces {
  const any = sessions.map((id) => `session=${id}`)
  switch (subject.kind) {
    case 'spiffeId':
      return { all: [`spiffeId=${subject.spiffeId}`], any: [] }
    case 'instance':
      return { all: [], any: subject.sessions.map((id) => `session=${id}`) }
    case 'attestor':
      return { all: [`attestor=${subject.name}`], any }
    case 'selectors':
      return { all: [`attestor=${subject.name}`, ...selectorTerms(subject.selectors)], any }
    case 'apiTokens':
      return {
        all: subject.operator === undefined ? [] : [`actor=${subject.operator}`],
        any: subject.tokenIds.map((id) => `tokenId=${id}`),
      }
  }
}

/** Two terms may share a key, and other entries name the same ids: the actor decides. */
function isOf({ actor }: LogEntry, subject: Subject, sessions: ReadonlySet<string>): boolean {
  const isOfSession = actor.session !== undefined && sessions.has(actor.session)
  switch (subject.kind) {
    case 'spiffeId':
      return actor.spiffeId === subject.spiffeId
    case 'instance':
      return isOfSession || subject.sessions.includes(actor.session ?? '')
    case 'attestor':
      return isOfSession || actor.attestorId === subject.attestorId
    case 'selectors': {
      const { attestorId, selectors } = subject
      return isOfSession || (actor.attestorId === attestorId && matches(selectors, actor.selectors ?? {}, false))
    }
    case 'apiTokens': {
      const { operator, tokenIds } = subject
      if (actor.kind !== 'operator') return false
      return tokenIds.includes(actor.tokenId ?? '') || (operator !== undefined && actor.operator === operator)
    }
  }
}

const itemKinds = { serialNumber: 'certificate', jti: 'jwt', accessToken: 'accessToken' } as const

const itemOf = ({ kind, id, until, audience }: IssuedCredential): Item => ({
  kind: itemKinds[kind],
  name: id,
  until,
  ...(audience && { detail: { audience } }),
})

export type Findings = {
  /** Live ones. */
  credentials: IssuedCredential[]
  sessions: string[]
  /** API tokens that it created. */
  apiTokens: string[]
  items: Item[]
}

const happened = ({ outcome }: LogEntry): boolean => outcome === 'granted' || outcome === 'completed'

export function findingsIn(
  entries: readonly LogEntry[],
  subject: Subject,
  sessions: ReadonlySet<string>,
  now: Date,
): Findings {
  const findings: Findings = { credentials: [], sessions: [], apiTokens: [], items: [] }
  const sessionIds = new Set<string>()
  for (const entry of entries) {
    if (!happened(entry) || !isOf(entry, subject, sessions)) continue
    const { actor, issued = {}, change, resource } = entry
    const live = credentialsOf(issued).filter(({ until }) => until > now)
    findings.credentials.push(...live)
    findings.items.push(...live.map(itemOf))
    if (actor.session !== undefined) sessionIds.add(actor.session)
    if (issued.apiToken) findings.apiTokens.push(issued.apiToken.id)
    for (const { path, version } of issued.secrets ?? [])
      findings.items.push({ kind: 'read', name: `${path} ${version}`, detail: { path, version } })
    const isOperator = actor.kind === 'operator' || actor.operatorRole !== undefined
    if (isOperator && change && resource)
      findings.items.push({ kind: 'change', name: `${resource.kind}/${resource.name ?? resource.id}` })
  }
  findings.sessions.push(...sessionIds)
  return findings
}

/** The versions of each secret that was read. */
export function readsIn(items: readonly Item[]): Map<string, number[]> {
  const reads = new Map<string, number[]>()
  for (const { kind, detail } of items) {
    if (kind !== 'read' || detail?.path === undefined || detail.version === undefined) continue
    const versions = reads.get(detail.path) ?? []
    if (!versions.includes(detail.version)) versions.push(detail.version)
    reads.set(detail.path, versions)
  }
  return reads
}
