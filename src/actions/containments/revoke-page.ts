/** Revokes what one page of the log names, and ends its sessions: one change, with the names in its entry. */
import type { Change, Changed, Recorder } from '../../audit/record.ts'
import { newId } from '../../names/id.ts'
import { insertBlocks, lockRevocations, untilReleased } from '../../store/blocks.ts'
import { liveOnes } from '../../store/contained-sessions.ts'
import { insertItems } from '../../store/containment-items.ts'
import { type ContainmentRow, lockContainment, updateContainment } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import type { BlockRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { endSessions, revokeTokens } from '../../store/sessions.ts'
import { endApprovalsOf } from '../../store/approvals.ts'
import { revokeApiToken } from '../../store/tokens.ts'
import { createdTokens, revocableTokens, withTokens } from './api-tokens.ts'
import type { FoundPage } from './search.ts'

export type PageParts = {
  recorder: Pick<Recorder, 'change'>
  now: () => Date
  randomBytes: (size: number) => Buffer
}

/** Another replica has done this page. */
const overtaken = new Error('another replica continues the containment')

const isSamePlace = (row: ContainmentRow, other: ContainmentRow): boolean =>
  row.reached?.epoch === other.reached?.epoch && row.reached?.index === other.reached?.index

/** @returns whether the page was revoked here. Where it created API tokens, the search continues with these from its start. */
export async function revokePage(parts: PageParts, containment: ContainmentRow, page: FoundPage): Promise<boolean> {
  const { recorder, now } = parts
  const { id, requestId } = containment
  const open = { requestId, action: 'containment.revoke', time: now(), actor: { kind: 'system' } } as const
  try {
    await recorder.change(open, async (tx, snapshot) => {
      const row = await lockContainment(tx, id)
      if (!row || row.state !== 'revoking' || !isSamePlace(row, containment)) throw overtaken
      return revoked(tx, parts, { row, page, snapshot, now: open.time })
    })
    return true
  } catch (error) {
    if (error === overtaken) return false
    throw error
  }
}

async function revoked(
  tx: Knex.Transaction,
  { randomBytes }: Pick<PageParts, 'randomBytes'>,
  { row, page, snapshot, now }: { row: ContainmentRow; page: FoundPage; snapshot: Snapshot; now: Date },
): Promise<Change<undefined>> {
  const { id, subject, releasedAt } = row
  const { credentials, sessions, items, reached, isLast } = page
  const block = (part: Pick<BlockRow, 'kind' | 'value' | 'until'> & Partial<BlockRow>): BlockRow => ({
    id: newId('blk', randomBytes),
    at: now,
    ...part,
  })
  await lockRevocations(tx)
  const live = await liveOnes(tx, sessions, now)
  // Rows of credentials have a revocation of their own, so that no later page stamps them again.
  const revocation = newId('rev', randomBytes)
  const blocks = await insertBlocks(
    tx,
    revocation,
    credentials.map(({ kind, id: value, until, keyId }) => block({ kind, value, until, ...(keyId && { keyId }) })),
  )
  const instances = live.map(({ id: sessionId, instance, entryKeyed, workloadId }) =>
    block({
      kind: 'instance',
      value: instance.toString('hex'),
      until: untilReleased,
      sessionId,
      ...(entryKeyed && { workloadId }),
    }),
  )
  // After the release of the block the work goes on, and sets no further block.
  if (!releasedAt) await insertBlocks(tx, id, uniqueOf(instances))
  const valuesOf = (kind: BlockRow['kind']) => blocks.filter((row) => row.kind === kind).map((row) => row.value)
  const valuesByMember = (member: string, kind: BlockRow['kind']) => {
    const values = valuesOf(kind)
    return values.length > 0 ? { [member]: values } : {}
  }
  await revokeTokens(tx, valuesOf('accessToken'), now)
  await insertItems(tx, id, [...items, ...live.map((session) => ({ kind: 'session' as const, name: session.id }))])
  const created = createdTokens(subject, page.apiTokens)
  const apiTokens = revocableTokens(snapshot, created, now).map((token) => token.id)
  for (const token of apiTokens) await revokeApiToken(tx, token, now)
  const withdrawnApprovals = await endApprovalsOf(tx, { tokenIds: created }, now)
  await insertItems(
    tx,
    id,
    apiTokens.map((name) => ({ kind: 'apiToken', name })),
  )
  if (created.length > 0) await updateContainment(tx, id, { subject: withTokens(subject, created) })
  else await updateContainment(tx, id, { reached, ...(isLast && { state: 'rotating' }) })
  const ids = live.map((session) => session.id)
  return {
    result: undefined,
    entry: {
      resource: { kind: 'containment', id },
      revoked: {
        ...valuesByMember('serialNumbers', 'serialNumber'),
        ...valuesByMember('jtis', 'jti'),
        ...valuesByMember('accessTokens', 'accessToken'),
        ...(apiTokens.length > 0 && { apiTokens }),
        ...(ids.length > 0 && { sessions: ids }),
      },
      detail: {
        upTo: `${reached.epoch}/${reached.index}`,
        isLast,
        ...(withdrawnApprovals.length > 0 && { withdrawnApprovals }),
      },
    },
    changed: [
      ...[revocation, ...(releasedAt ? [] : [id])].map((name): Changed => ({
        table: 'block',
        where: { revocation: name },
      })),
      ...apiTokens.map((token): Changed => ({ table: 'api_token', where: { id: token } })),
    ],
    // Under the head lock, in the order of the group commit: in the other order an issuance of the session would deadlock.
    placed: () => endSessions(tx, ids, 'contained', now),
  }
}

/** One statement must not write a row twice. */
const uniqueOf = (blocks: readonly BlockRow[]): BlockRow[] => [
  ...new Map(blocks.map((block) => [block.value, block])).values(),
]
