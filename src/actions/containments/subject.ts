/** Whom an operator contains, by ids that never change, and the block that keeps them out. */
import { createHash } from 'node:crypto'
import { canonicalize } from '@purser/sdk/verify'
import { findRecorded } from '../../audit/find-entries.ts'
import { type Caller, boundOf } from '../../authorize/caller.ts'
import { refuse } from '../../errors.ts'
import { NameError } from '../../names/errors.ts'
import { type Bound, hasSpiffeId, hasWholeAttestor, isWithin } from '../../names/bound.ts'
import { parseMatch } from '../../names/selectors.ts'
import { untilReleased } from '../../store/blocks.ts'
import { coveredSessions } from '../../store/contained-sessions.ts'
import type { ContainmentMatch, Subject } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import { findIssued } from '../../store/issued.ts'
import { byName } from '../../store/registrations.ts'
import type { BlockRow } from '../../store/rows.ts'
import { sessionById } from '../../store/sessions.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'

const unknown = (detail: string): Error => refuse('not_found', { detail })

/**
 * Whether all of the subject lies within the caller's bound.
 * @param snapshot as the caller may know it
 */
export function isSubjectWithin(subject: Subject, caller: Caller, snapshot: Snapshot): boolean {
  const { attestors, apiTokens } = snapshot
  const bound = boundOf(caller)
  if (!bound) return true
  switch (subject.kind) {
    case 'spiffeId':
      return hasSpiffeId(bound, subject.spiffeId)
    case 'instance':
      return hasSpiffeId(bound, subject.spiffeId ?? '')
    case 'attestor':
    case 'selectors': {
      const attestor = attestors.get(subject.attestorId)
      return attestor !== undefined && hasWholeAttestor(bound, attestor)
    }
    case 'apiTokens':
      return (
        subject.tokenIds.every((id) => apiTokens.has(id)) &&
        (subject.operator === undefined || isOperatorWithin(subject.operator, bound, snapshot))
      )
  }
}

/** Also the caller's own operator may be wider than its token. */
function isOperatorWithin(name: string, bound: Bound, { operators }: Snapshot): boolean {
  const operator = operators.get(name)
  return operator !== undefined && isWithin(operator.bound, bound)
}

/**
 * @param snapshot as the caller may know it
 * @throws Refusal `not_found` where nothing was issued to the subject, or it lies outside the caller's bound
 */
export async function subjectOf(
  { caller }: Pick<Context, 'caller'>,
  knex: Knex,
  snapshot: Snapshot,
  match: ContainmentMatch,
): Promise<Subject> {
  const subject = await namedSubject(knex, snapshot, match)
  if (!isSubjectWithin(subject, caller, snapshot)) throw unknown(unknownDetail(match))
  return subject
}

const details = {
  spiffeId: 'nothing was issued to this SPIFFE ID',
  session: 'there is no such session, or its row was swept after its end: contain its SPIFFE ID',
  serialNumber: 'no certificate with this serial number was issued',
  attestor: 'there is no such attestor, or not all of its workloads are within your bound',
  tokens: 'there is no such API token, or the operator has none',
} as const

/** The same whether the subject does not exist or lies outside the caller's bound. */
function unknownDetail({ spiffeId, session, serialNumber, attestor }: ContainmentMatch): string {
  if (spiffeId !== undefined) return details.spiffeId
  if (session !== undefined) return details.session
  if (serialNumber !== undefined) return details.serialNumber
  return attestor === undefined ? details.tokens : details.attestor
}

async function namedSubject(knex: Knex, snapshot: Snapshot, match: ContainmentMatch): Promise<Subject> {
  const { spiffeId, session, serialNumber, attestor, selectors, tokenId, operator } = match
  if (spiffeId !== undefined) return spiffeIdSubject(knex, spiffeId)
  if (session !== undefined) return instanceSubject(knex, session, details.session)
  if (serialNumber !== undefined) {
    const entry = await findIssued(knex, { serialNumber })
    if (entry?.actor.session === undefined) throw unknown(details.serialNumber)
    return instanceSubject(knex, entry.actor.session, details.serialNumber)
  }
  if (attestor !== undefined) return attestorSubject(knex, snapshot, attestor, selectors)
  const tokens = [...snapshot.apiTokens.values()]
    .filter((row) => (tokenId === undefined ? row.operator === operator : row.id === tokenId))
    .map((row) => row.id)
  if (tokens.length === 0) throw unknown(details.tokens)
  return { kind: 'apiTokens', tokenIds: tokens, ...(operator !== undefined && { operator }) }
}

async function spiffeIdSubject(knex: Knex, spiffeId: string): Promise<Subject> {
  const subject = { kind: 'spiffeId', spiffeId } as const
  const [session] = await coveredSessions(knex, subject, undefined)
  const isKnown = session !== undefined || (await findRecorded(knex, [`spiffeId=${spiffeId}`], 10)).length > 0
  if (!isKnown) throw unknown(details.spiffeId)
  return subject
}

async function instanceSubject(knex: Knex, id: string, detail: string): Promise<Subject> {
  const session = await sessionById(knex, id)
  if (!session) throw unknown(detail)
  const { entryKeyed, workloadId } = session
  const instance = session.instance.toString('hex')
  const subject: Subject = {
    kind: 'instance',
    session: id,
    instance,
    sessions: [],
    spiffeId: session.spiffeId,
    ...(entryKeyed && { workloadId }),
  }
  return { ...subject, sessions: await coveredSessions(knex, subject, undefined) }
}

async function attestorSubject(
  knex: Knex,
  snapshot: Snapshot,
  name: string,
  selectors: Record<string, string> | undefined,
): Promise<Subject> {
  const row = byName(snapshot.attestors, name)
  if (!row) throw unknown(details.attestor)
  if (!selectors) return { kind: 'attestor', attestorId: row.id, name }
  try {
    parseMatch(selectors, false)
  } catch (error) {
    if (!(error instanceof NameError)) throw error
    throw refuse('impossible', { errors: [{ pointer: '/match/selectors', detail: error.message }] })
  }
  const subject = { kind: 'selectors', attestorId: row.id, name, selectors } as const
  const [session] = await coveredSessions(knex, subject, undefined)
  const terms = [`attestor=${name}`, ...selectorTerms(selectors)]
  if (session === undefined && (await findRecorded(knex, terms, 10)).length === 0)
    throw unknown('no instance with these selectors ever attested')
  return subject
}

export const selectorTerms = (selectors: Record<string, string>): string[] =>
  Object.entries(selectors).map(([key, value]) => `selector=${key}=${value}`)

/** Absent for API tokens, which are revoked. */
export function blockFor(subject: Subject, id: string, at: Date): BlockRow | undefined {
  const block = { id, at, until: untilReleased }
  switch (subject.kind) {
    case 'spiffeId':
      return { ...block, kind: 'spiffeId', value: subject.spiffeId }
    case 'instance': {
      const { instance, session: sessionId, workloadId } = subject
      return { ...block, kind: 'instance', value: instance, sessionId, ...(workloadId !== undefined && { workloadId }) }
    }
    case 'attestor':
      return { ...block, kind: 'attestor', value: subject.attestorId, attestorId: subject.attestorId }
    case 'selectors': {
      const { attestorId, selectors } = subject
      const value = createHash('sha256')
        .update(canonicalize([attestorId, selectors]))
        .digest('hex')
      return { ...block, kind: 'selectors', value, attestorId, selectors }
    }
    case 'apiTokens':
      return undefined
  }
}
