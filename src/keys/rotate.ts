/**
 * Makes and ends keys as a plan or an operator says. Nothing is stored here: callers get the rows as they are to be, and
 * write them with their entries in one transaction.
 */
import type { KeyRow } from '../store/rows.ts'
import { type Keys, isRequested, isUpstream } from './keys.ts'
import { type Lifetimes, after, endlessFrom, timesFor } from './lifetimes.ts'
import { type KeyMaker, newIssuingCa, newJwtKey, newLogKey, newRootCa } from './new-key.ts'
import { type Action, type ScheduledKind, ownRoot, underUpstream } from './rotation.ts'

export type Rotator = {
  maker: KeyMaker
  keys: Pick<Keys, 'ca'>
  lifetimes: Lifetimes
  /** Where a key's CRL is. */
  crlUrl: (keyId: string) => string
}

/** Rows as they are to be. `retired` got another end than planned; `withdrawn` counts no longer. */
export type KeyChanges = { created: KeyRow[]; retired: KeyRow[]; withdrawn: KeyRow[] }

/** A rotation that is impossible now, in words for the operator. */
export class RotationError extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(detail: string) {
    super(detail)
    this.name = 'RotationError'
  }
}

/** @param root where it signs an issuing key; else the one of `rows` that does at `activeAt` */
async function makeKey(
  kind: ScheduledKind,
  rows: readonly KeyRow[],
  activeAt: Date,
  now: Date,
  { maker, keys, lifetimes, crlUrl }: Rotator,
  root: KeyRow | undefined = ownRoot(rows, now, activeAt),
): Promise<KeyRow> {
  const published = (activeAt.getTime() - now.getTime()) / 1000
  const times = timesFor(kind === 'issuing-ca' ? kind : 'jwt', lifetimes, now, published)
  if (kind !== 'issuing-ca') return newJwtKey(maker, kind, times)
  if (!root) throw new RotationError('there is no root that could sign an issuing CA: rotate the root')
  return newIssuingCa(maker, { id: root.id, issuer: keys.ca(root).issuer }, times, crlUrl(root.id))
}

export const makePlanned = (
  actions: readonly Action[],
  rows: readonly KeyRow[],
  now: Date,
  rotator: Rotator,
): Promise<KeyRow[]> =>
  Promise.all(
    actions.flatMap((action) =>
      action.do === 'make' ? [makeKey(action.kind, rows, action.activeAt, now, rotator)] : [],
    ),
  )

const isLive = (row: KeyRow, now: Date): boolean => !row.withdrawnAt && row.goneAt > now

const withdraw = (row: KeyRow, now: Date): KeyRow => ({ ...row, withdrawnAt: now })

/**
 * Ends what the new keys replace: what signs now stops when they begin; what only waited for its first use never has one.
 * @param at when the new ones begin
 */
export function retire(row: KeyRow, at: Date, now: Date): KeyRow[] {
  if (row.activeAt > now) return [{ ...row, retireAt: now, goneAt: now }]
  return row.retireAt > at ? [{ ...row, retireAt: at }] : []
}

/**
 * The next key of each kind, now. With `compromised` every key of the kind that is published is withdrawn, the next and
 * the retiring ones too, since they lay in one place; the new ones sign at once.
 * @throws RotationError where the next one waits already, or an upstream CA has to sign it
 */
export async function rotateScheduled(
  kinds: readonly ScheduledKind[],
  rows: readonly KeyRow[],
  compromised: boolean,
  now: Date,
  rotator: Rotator,
): Promise<KeyChanges> {
  const changes: KeyChanges = { created: [], retired: [], withdrawn: [] }
  const at = compromised ? now : after(now, rotator.lifetimes.publish)
  for (const kind of kinds) {
    const live = rows.filter((row) => row.kind === kind && isLive(row, now) && !isRequested(row))
    const upstream = kind === 'issuing-ca' && underUpstream(rows)
    if (compromised) changes.withdrawn.push(...live.map((row) => withdraw(row, now)))
    else if (upstream) throw new RotationError('an upstream CA signs the issuing keys: ask for a request with ca:csr')
    else if (live.some((row) => row.activeAt > now)) continue
    else changes.retired.push(...live.flatMap((row) => retire(row, at, now)))
    if (!upstream) changes.created.push(await makeKey(kind, rows, at, now, rotator))
  }
  if (changes.created.length + changes.withdrawn.length === 0) {
    throw new RotationError('the next key is published already and waits for its first use')
  }
  return changes
}

/**
 * A new root of our own and the issuing key under it, which begin together; also the way back from an upstream CA. The
 * root before stays in the bundle until everything under it is expired, unless it is compromised: then it leaves at once,
 * and all that was issued under it.
 */
export async function rotateRoot(
  rows: readonly KeyRow[],
  compromised: boolean,
  now: Date,
  rotator: Rotator,
): Promise<KeyChanges> {
  const { maker, lifetimes } = rotator
  const at = compromised ? now : after(now, lifetimes.publish)
  const live = rows.filter((row) => isLive(row, now) && !isRequested(row))
  const roots = live.filter((row) => row.kind === 'root-ca')
  const issuing = live.filter((row) => row.kind === 'issuing-ca')
  if (!compromised && roots.some((row) => row.activeAt > now && !isUpstream(row))) {
    throw new RotationError('the next root is published already and waits for its first use')
  }
  const root = newRootCa(maker, timesFor('root-ca', lifetimes, now, (at.getTime() - now.getTime()) / 1000))
  const first = await makeKey('issuing-ca', rows, at, now, rotator, root)
  const created = [root, first]
  if (compromised) return { created, retired: [], withdrawn: [...roots, ...issuing].map((row) => withdraw(row, now)) }
  const retired = issuing.flatMap((row) => retire(row, at, now))
  const ended = issuing.map((row) => retired.find((key) => key.id === row.id) ?? row)
  return { created, retired: [...retired, ...roots.map((row) => endRoot(row, ended, at))], withdrawn: [] }
}

/** Our own root leaves the bundle with the last issuing key under it. An upstream root's end is its chains' already. */
export function endRoot(root: KeyRow, issuing: readonly KeyRow[], at: Date): KeyRow {
  if (isUpstream(root)) return { ...root, retireAt: at < root.retireAt ? at : root.retireAt }
  const ends = issuing.filter((row) => row.issuerKeyId === root.id).map((row) => row.goneAt.getTime())
  return { ...root, retireAt: at, goneAt: new Date(Math.max(at.getTime(), ...ends)) }
}

/**
 * A new log key for the running epoch. Both sign until the job ends the older one, or, with `compromised`, from the
 * announcing entry on the new one alone. The sizes are set when that entry has its place.
 */
export function rotateLogKey(rows: readonly KeyRow[], compromised: boolean, now: Date, rotator: Rotator): KeyChanges {
  const { maker, lifetimes } = rotator
  const log = rows.filter((row) => row.kind === 'log')
  const epoch = Math.max(...log.map((row) => row.epoch ?? 0))
  const signing = log.filter((row) => row.epoch === epoch && row.toSize === undefined)
  if (!compromised && signing.length > 1) throw new RotationError('the log keys overlap already')
  const created = [newLogKey(maker, endlessFrom(now), epoch, 0)]
  if (compromised) return { created, retired: [], withdrawn: signing.map((row) => withdraw(row, now)) }
  return {
    created,
    retired: signing.map((row) => ({ ...row, retireAt: after(now, lifetimes.publish) })),
    withdrawn: [],
  }
}
