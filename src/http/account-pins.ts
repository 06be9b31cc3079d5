/**
 * Accounts that can be recreated under their old name (a Kubernetes namespace and service account). The immutable id
 * behind each is kept at first sight; another id is recorded as an entry of its own before anything is issued to it, and
 * ends what the older one had (DESIGN.md, Authorization). What is known is in the snapshot: asking costs no query.
 */
import type { Attested } from '../attest/attest.ts'
import type { Actor } from '../audit/entry.ts'
import type { Change, Recorder } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import type { Match } from '../names/selectors.ts'
import { endAccountSessions, insertPin, supersedePins } from '../store/account-pins.ts'
import type { Knex } from '../store/database.ts'
import type { AccountPinRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { pinKey } from '../store/snapshot-tables.ts'
import type { ApiRequest } from './request.ts'

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
export function accountHolds(fresh: Pins, attested: Attested): boolean {
  return ['none', 'known'].includes(standingOf(fresh, attested))
}

/** Thrown inside the transaction, so that it rolls back: somebody else recorded it first. */
const recordedAlready = new Error('the account is recorded already')

export type AccountPins = {
  /**
   * Before the decision: refuses an account that was replaced, and records one that replaces another.
   * @returns whether the account replaced another under its name
   * @throws Refusal `identity_superseded`
   */
  recognise(request: Asking, known: Pins, attested: Attested, actor: Actor): Promise<{ recreated: boolean }>
  /** Once an entry matched: keeps the id of an account that was never seen, so that only what uses Purser is kept. */
  keep(request: Asking, known: Pins, attested: Attested, actor: Actor): Promise<void>
}
type Asking = Pick<ApiRequest, 'id' | 'time' | 'ip'>

export function createAccountPins({ recorder }: { recorder: Pick<Recorder, 'change'> }): AccountPins {
  /** Many pods of a new account start at once; one of them records it. */
  const flights = new Map<string, Promise<void>>()

  function record(request: Asking, attested: Attested, actor: Actor): Promise<void> {
    const { attestor, account } = attested
    if (!account) return Promise.resolve()
    const key = pinKey(attestor.id, account.name, account.uid)
    const running = flights.get(key)
    if (running) return running
    const made = append(request, attested, actor).finally(() => flights.delete(key))
    flights.set(key, made)
    return made
  }

  async function append({ id, time, ip }: Asking, attested: Attested, actor: Actor): Promise<void> {
    const open = { requestId: id, action: 'identity.pin' as const, time, actor, source: { ip } }
    try {
      await recorder.change(open, (tx, fresh) => {
        const standing = standingOf(fresh, attested)
        if (standing === 'superseded') throw refuse('identity_superseded')
        if (standing !== 'new' && standing !== 'recreated') throw recordedAlready
        return pin(tx, attested, time)
      })
    } catch (error) {
      if (error !== recordedAlready) throw error
    }
  }

  return {
    async recognise(request, known, attested, actor) {
      const standing = standingOf(known, attested)
      if (standing === 'superseded') throw refuse('identity_superseded')
      if (standing === 'recreated') await record(request, attested, actor)
      return { recreated: standing === 'recreated' || (standing === 'known' && replacedAnother(known, attested)) }
    },
    async keep(request, known, attested, actor) {
      if (standingOf(known, attested) === 'new') await record(request, attested, actor)
    },
  }
}

async function pin(tx: Knex.Transaction, { attestor, account }: Attested, now: Date): Promise<Change<undefined>> {
  if (!account) throw new Error('a proof without an account')
  const { name, uid } = account
  const of = { attestorId: attestor.id, account: name }
  const previous = await supersedePins(tx, of, uid, now)
  if (!(await insertPin(tx, of, uid, now))) throw recordedAlready
  const replaced = previous.length > 0
  const ended = replaced ? await endAccountSessions(tx, of, 'its account was recreated', now) : 0
  return {
    reply: undefined,
    entry: {
      action: replaced ? 'identity.change' : 'identity.pin',
      resource: { kind: 'account', id: uid, name: `${attestor.name}/${name}` },
      change: { after: { account: name, uid, ...(replaced && { previous, endedSessions: ended }) } },
    },
    changed: [uid, ...previous].map((one) => ({
      table: 'account_pin',
      where: { attestor_id: attestor.id, account: name, uid: one },
    })),
  }
}

const replaced = new WeakMap<Snapshot['pins'], Set<string>>()

/** Whether an id of the account was superseded before. The names that this holds for are gathered once a snapshot. */
function replacedAnother({ pins }: Pins, { attestor, account }: Attested): boolean {
  const nameOf = (attestorId: string, name: string): string => JSON.stringify([attestorId, name])
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
