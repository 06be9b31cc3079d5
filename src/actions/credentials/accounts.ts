/**
 * Accounts that can be recreated under their old name (a Kubernetes namespace and service account). Purser pins the
 * immutable id behind a name at first sight; another id is another principal. Pins are in the snapshot, so this costs no
 * query. The log records an id that replaces another before anything is issued to it, and the sessions of the older id
 * end.
 */
import type { Attested } from '../../attest/attest.ts'
import type { Actor, EntryPart } from '../../audit/entry.ts'
import type { Change, Changed, Recorder } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Match } from '../../names/selectors.ts'
import { endAccountSessions, insertPin, supersedePins } from '../../store/account-pins.ts'
import type { Knex } from '../../store/database.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'

/** Thrown inside the transaction, so that it rolls back: another request was first. */
const recordedAlready = new Error('the account is recorded already')

type PinContext = Pick<Context, 'requestId' | 'time' | 'address'>
type Pins = Pick<Snapshot, 'pins'>

export type Accounts = {
  /**
   * Before the decision: refuses an account that was replaced, and records one that replaces another.
   * @throws Refusal `identity_superseded`
   */
  check(context: PinContext, snapshot: Pins, attested: Attested, actor: Actor): Promise<{ recreated: boolean }>
  /** Pins a new account. Called once an entry matched, so that only accounts of workloads are stored. */
  pinNew(context: PinContext, snapshot: Pins, attested: Attested, actor: Actor): Promise<void>
}

type Waiter = {
  context: PinContext
  attested: Attested
  actor: Actor
  name: string
  resolve: () => void
  reject: (error: unknown) => void
}

const maxBatch = 100

/**
 * New accounts are recorded in batches. Each change increments the revision, and a cluster whose accounts all start at
 * once would otherwise make every concurrent decision stale.
 */
export function createAccounts({ recorder }: { recorder: Pick<Recorder, 'change'> }): Accounts {
  let waiting: Waiter[] = []
  let running: Promise<void> | undefined

  function record(context: PinContext, attested: Attested, actor: Actor): Promise<void> {
    return new Promise((resolve, reject) => {
      const name = accountName(attested.attestor.id, attested.account?.name ?? '')
      waiting.push({ context, attested, actor, name, resolve, reject })
      running ??= drain().finally(() => (running = undefined))
    })
  }

  async function drain(): Promise<void> {
    // One turn, so that requests that arrive together share a batch.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) await append(takeBatch())
  }

  /** At most one waiter of each account: the next must see the outcome. */
  function takeBatch(): Waiter[] {
    const names = new Set<string>()
    const batch: Waiter[] = []
    waiting = waiting.filter((waiter) => {
      if (batch.length >= maxBatch || names.has(waiter.name)) return true
      names.add(waiter.name)
      batch.push(waiter)
      return false
    })
    return batch
  }

  async function append(batch: Waiter[]): Promise<void> {
    const [first] = batch
    if (!first) return
    const { requestId, time } = first.context
    const open = { requestId, action: 'identity.pin' as const, time, actor: first.actor }
    let superseded = new Set<Waiter>()
    try {
      await recorder.change(open, async (tx, snapshot) => {
        const withStanding = (...standings: string[]): Waiter[] =>
          batch.filter(({ attested }) => standings.includes(accountStanding(snapshot, attested)))
        superseded = new Set(withStanding('superseded'))
        return changeOf(await pinAll(tx, withStanding('new', 'recreated')))
      })
    } catch (error) {
      if (error !== recordedAlready) return batch.forEach((waiter) => waiter.reject(error))
    }
    for (const waiter of batch) {
      if (superseded.has(waiter)) waiter.reject(refuse('identity_superseded'))
      else waiter.resolve()
    }
  }

  return {
    async check(context, snapshot, attested, actor) {
      const { standing, recreated } = checkAccount(snapshot, attested)
      if (standing === 'recreated') await record(context, attested, actor)
      return { recreated }
    },
    async pinNew(context, snapshot, attested, actor) {
      if (accountStanding(snapshot, attested) === 'new') await record(context, attested, actor)
    },
  }
}

type Pinned = { entry: EntryPart; changed: Changed[]; endSessions: () => Promise<unknown> }

function changeOf(pinned: Pinned[]): Change<undefined> {
  const [first, ...more] = pinned
  if (!first) throw recordedAlready
  return {
    result: undefined,
    entry: first.entry,
    more: more.map(({ entry }) => entry),
    changed: pinned.flatMap(({ changed }) => changed),
    // Under the head lock: before it, an append could still open a session that would not end.
    placed: async () => {
      for (const { endSessions } of pinned) await endSessions()
    },
  }
}

async function pinAll(tx: Knex.Transaction, waiters: readonly Waiter[]): Promise<Pinned[]> {
  const pinned: Pinned[] = []
  for (const waiter of waiters) {
    const pin = await insert(tx, waiter)
    if (pin) pinned.push(pin)
  }
  return pinned
}

/** Nothing where another replica was first. */
async function insert(tx: Knex.Transaction, { context, attested, actor }: Waiter): Promise<Pinned | undefined> {
  const { attestor, account } = attested
  if (!account) return undefined
  const { name, uid } = account
  const { requestId, time, address } = context
  const row = { attestorId: attestor.id, account: name }
  if (!(await insertPin(tx, row, uid, time))) return undefined
  const previous = await supersedePins(tx, row, uid, time)
  const replaced = previous.length > 0
  return {
    entry: {
      action: replaced ? 'identity.change' : 'identity.pin',
      requestId,
      actor,
      source: { ip: address },
      resource: { kind: 'account', id: uid, name: `${attestor.name}/${name}` },
      change: { after: { account: name, uid, ...(replaced && { previous }) } },
    },
    changed: [uid, ...previous].map((id) => ({
      table: 'account_pin',
      where: { attestor_id: attestor.id, account: name, uid: id },
    })),
    endSessions: async () => replaced && endAccountSessions(tx, row, 'its account was recreated', time),
  }
}

type AccountStanding = 'none' | 'pinned' | 'new' | 'recreated' | 'superseded'

/**
 * An id without a pin is a recreated account only if it was proven after the first sight of every pinned id. A late token
 * of an account that was deleted must not supersede the present one.
 */
function accountStanding({ pins }: Pins, { attestor, account }: Attested): AccountStanding {
  if (!account) return 'none'
  const pin = pins.get(attestor.id, account.name, account.uid)
  if (pin) return pin.superseded ? 'superseded' : 'pinned'
  const others = pins.ofAccount(attestor.id, account.name)
  if (others.length === 0) return 'new'
  return others.every((other) => other.firstSeen < account.provenAt) ? 'recreated' : 'superseded'
}

/** Whether a decision about this account also holds under a newer snapshot. */
export const accountHolds = (snapshot: Pins, attested: Attested): boolean =>
  ['none', 'pinned'].includes(accountStanding(snapshot, attested))

/** @throws Refusal `identity_superseded` */
export function checkAccount(snapshot: Pins, attested: Attested): { standing: AccountStanding; recreated: boolean } {
  const standing = accountStanding(snapshot, attested)
  if (standing === 'superseded') throw refuse('identity_superseded')
  const recreated = standing === 'recreated' || (standing === 'pinned' && supersededAnother(snapshot, attested))
  return { standing, recreated }
}

/**
 * An entry with `pinIdentity` is for the account that it met first. An operator admits a new one by its id in `match`.
 * @throws Refusal `identity_changed`
 */
export function checkPinned(entry: { pinIdentity: boolean; match: Match }, recreated: boolean): void {
  if (entry.pinIdentity && recreated && !Object.hasOwn(entry.match, 'k8s:sa-uid')) throw refuse('identity_changed')
}

const accountName = (attestorId: string, name: string): string => JSON.stringify([attestorId, name])

/** Whether the account has a superseded id. */
const supersededAnother = ({ pins }: Pins, { attestor, account }: Attested): boolean =>
  account !== undefined && pins.ofAccount(attestor.id, account.name).some((pin) => pin.superseded)
