/**
 * Accounts that can be recreated under their old name (a Kubernetes namespace and service account). The immutable id
 * behind each is kept at first sight; another id is recorded as an entry of its own before anything is issued to it, and
 * ends what the older one had (DESIGN.md, Authorization). What is known is in the snapshot: asking costs no query.
 */
import type { Attested } from '../../attest/attest.ts'
import type { Actor, EntryPart } from '../../audit/entry.ts'
import type { Change, Changed, Recorder } from '../../audit/record.ts'
import { refuse } from '../../errors.ts'
import type { Match } from '../../names/selectors.ts'
import { endAccountSessions, insertPin, supersedePins } from '../../store/account-pins.ts'
import type { Knex } from '../../store/database.ts'
import type { AccountPinRow } from '../../store/rows.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { pinKey } from '../../store/snapshot-tables.ts'
import type { Context } from '../context.ts'

type Pins = Pick<Snapshot, 'pins'>
type Standing = 'none' | 'known' | 'new' | 'recreated' | 'superseded'

/**
 * How the account of a proof stands. One whose id was never seen is a recreated one only where it was proven after the id
 * that we know was first seen: a late token of an account that is gone must not turn the present one out.
 */
function standingOf({ pins }: Pins, { attestor, account }: Attested): Standing {
  if (!account) return 'none'
  const pin = pins.get(pinKey(attestor.id, account.name, account.uid))
  if (pin) return pin.superseded ? 'superseded' : 'known'
  const others = idsOf(pins, attestor.id, account.name)
  if (others.length === 0) return 'new'
  return others.every((other) => other.firstSeen < account.provenAt) ? 'recreated' : 'superseded'
}

const idsOf = (pins: Snapshot['pins'], attestorId: string, account: string): AccountPinRow[] =>
  [...pins.values()].filter((pin) => pin.attestorId === attestorId && pin.account === account)

/** Whether a decision about this account is still right under a newer snapshot. */
export function accountHolds(snapshot: Pins, attested: Attested): boolean {
  return ['none', 'known'].includes(standingOf(snapshot, attested))
}

/**
 * What is known of the account before anything is decided or recorded, for `explain` as well.
 * @throws Refusal `identity_superseded`
 */
export function judgeAccount(snapshot: Pins, attested: Attested): { recreated: boolean } {
  const standing = standingOf(snapshot, attested)
  if (standing === 'superseded') throw refuse('identity_superseded')
  return { recreated: standing === 'recreated' || (standing === 'known' && replacedAnother(snapshot, attested)) }
}

/** Thrown inside the transaction, so that it rolls back: somebody else recorded it first. */
const recordedAlready = new Error('the account is recorded already')

export type AccountPins = {
  /**
   * Before the decision: refuses an account that was replaced, and records one that replaces another.
   * @returns whether the account replaced another under its name
   * @throws Refusal `identity_superseded`
   */
  recognise(request: Asking, snapshot: Pins, attested: Attested, actor: Actor): Promise<{ recreated: boolean }>
  /** Once an entry matched: keeps the id of an account that was never seen, so that only what uses Purser is kept. */
  keep(request: Asking, snapshot: Pins, attested: Attested, actor: Actor): Promise<void>
}
type Asking = Pick<Context, 'requestId' | 'time' | 'address'>

type Waiting = {
  request: Asking
  attested: Attested
  actor: Actor
  name: string
  resolve: () => void
  reject: (error: unknown) => void
}

const maxTogether = 100

/**
 * Accounts that are seen for the first time are recorded together: each change moves the revision on, and a cluster whose
 * accounts all start at once would otherwise make every decision stale that is under way beside them.
 */
export function createAccountPins({ recorder }: { recorder: Pick<Recorder, 'change'> }): AccountPins {
  let waiting: Waiting[] = []
  let running: Promise<void> | undefined

  function record(request: Asking, attested: Attested, actor: Actor): Promise<void> {
    return new Promise((resolve, reject) => {
      const name = nameOf(attested.attestor.id, attested.account?.name ?? '')
      waiting.push({ request, attested, actor, name, resolve, reject })
      running ??= drain().finally(() => (running = undefined))
    })
  }

  async function drain(): Promise<void> {
    // One turn, so that what arrives together is recorded together.
    await new Promise((resolve) => setImmediate(resolve))
    while (waiting.length > 0) await append(take())
  }

  /** Of one account only one at a time: the next must see what became of it. */
  function take(): Waiting[] {
    const names = new Set<string>()
    const batch: Waiting[] = []
    waiting = waiting.filter((waiter) => {
      if (batch.length >= maxTogether || names.has(waiter.name)) return true
      names.add(waiter.name)
      batch.push(waiter)
      return false
    })
    return batch
  }

  async function append(batch: Waiting[]): Promise<void> {
    const [first] = batch
    if (!first) return
    const { requestId, time } = first.request
    const open = { requestId, action: 'identity.pin' as const, time, actor: first.actor }
    let gone = new Set<Waiting>()
    try {
      await recorder.change(open, async (tx, snapshot) => {
        gone = new Set(batch.filter((waiter) => standingOf(snapshot, waiter.attested) === 'superseded'))
        return together(await pinAll(tx, batch.filter((waiter) => ['new', 'recreated'].includes(standingOf(snapshot, waiter.attested))))) // prettier-ignore
      })
    } catch (error) {
      if (error !== recordedAlready) return batch.forEach((waiter) => waiter.reject(error))
    }
    for (const waiter of batch) {
      if (gone.has(waiter)) waiter.reject(refuse('identity_superseded'))
      else waiter.resolve()
    }
  }

  return {
    async recognise(request, snapshot, attested, actor) {
      const judged = judgeAccount(snapshot, attested)
      if (standingOf(snapshot, attested) === 'recreated') await record(request, attested, actor)
      return judged
    },
    async keep(request, snapshot, attested, actor) {
      if (standingOf(snapshot, attested) === 'new') await record(request, attested, actor)
    },
  }
}

type Pinned = { entry: EntryPart; changed: Changed[]; end: () => Promise<unknown> }

function together(pinned: Pinned[]): Change<undefined> {
  const [first, ...more] = pinned
  if (!first) throw recordedAlready
  return {
    result: undefined,
    entry: first.entry,
    more: more.map(({ entry }) => entry),
    changed: pinned.flatMap(({ changed }) => changed),
    // Under the head lock: before it, an append could still begin a session that nobody would end.
    placed: async () => {
      for (const { end } of pinned) await end()
    },
  }
}

async function pinAll(tx: Knex.Transaction, wanted: readonly Waiting[]): Promise<Pinned[]> {
  const pinned: Pinned[] = []
  for (const waiter of wanted) {
    const made = await pin(tx, waiter)
    if (made) pinned.push(made)
  }
  return pinned
}

/** Nothing where another replica was faster. */
async function pin(tx: Knex.Transaction, { request, attested, actor }: Waiting): Promise<Pinned | undefined> {
  const { attestor, account } = attested
  if (!account) return undefined
  const { name, uid } = account
  const of = { attestorId: attestor.id, account: name }
  if (!(await insertPin(tx, of, uid, request.time))) return undefined
  const previous = await supersedePins(tx, of, uid, request.time)
  const replaced = previous.length > 0
  return {
    entry: {
      action: replaced ? 'identity.change' : 'identity.pin',
      requestId: request.requestId,
      actor,
      source: { ip: request.address },
      resource: { kind: 'account', id: uid, name: `${attestor.name}/${name}` },
      change: { after: { account: name, uid, ...(replaced && { previous }) } },
    },
    changed: [uid, ...previous].map((one) => ({
      table: 'account_pin',
      where: { attestor_id: attestor.id, account: name, uid: one },
    })),
    end: async () => replaced && endAccountSessions(tx, of, 'its account was recreated', request.time),
  }
}

const nameOf = (attestorId: string, name: string): string => JSON.stringify([attestorId, name])

const replaced = new WeakMap<Snapshot['pins'], Set<string>>()

/** Whether an id of the account was superseded before. The names that this holds for are gathered once a snapshot. */
function replacedAnother({ pins }: Pins, { attestor, account }: Attested): boolean {
  let names = replaced.get(pins)
  if (!names) {
    names = new Set()
    for (const pin of pins.values()) if (pin.superseded) names.add(nameOf(pin.attestorId, pin.account))
    replaced.set(pins, names)
  }
  return account !== undefined && names.has(nameOf(attestor.id, account.name))
}

/**
 * An entry with `pinIdentity` is for the account that it met first; who means the new one says so, by its id in `match`.
 * @throws Refusal `identity_changed`
 */
export function checkPinned(entry: { pinIdentity: boolean; match: Match }, recreated: boolean): void {
  if (entry.pinIdentity && recreated && !Object.hasOwn(entry.match, 'k8s:sa-uid')) throw refuse('identity_changed')
}
