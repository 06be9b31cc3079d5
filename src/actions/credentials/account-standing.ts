/**
 * Accounts that can be recreated under their old name (a Kubernetes namespace and service account). Purser pins the
 * immutable id behind a name at first sight; another id is another principal. Pins are in the snapshot, so this costs no
 * query.
 */
import type { Attested } from '../../attest/attest.ts'
import { refuse } from '../../errors.ts'
import type { Match } from '../../names/selectors.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { pinKey } from '../../store/snapshot-tables.ts'

type Pins = Pick<Snapshot, 'pins'>
export type AccountStanding = 'none' | 'pinned' | 'new' | 'recreated' | 'superseded'

/**
 * An id without a pin is a recreated account only if it was proven after the first sight of every pinned id. A late token
 * of an account that was deleted must not supersede the present one.
 */
export function accountStanding({ pins }: Pins, { attestor, account }: Attested): AccountStanding {
  if (!account) return 'none'
  const pin = pins.get(pinKey(attestor.id, account.name, account.uid))
  if (pin) return pin.superseded ? 'superseded' : 'pinned'
  const others = [...pins.values()].filter(
    (other) => other.attestorId === attestor.id && other.account === account.name,
  )
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

export const accountName = (attestorId: string, name: string): string => JSON.stringify([attestorId, name])

const supersededNames = new WeakMap<Snapshot['pins'], Set<string>>()

/** Whether the account has a superseded id. The names of such accounts are collected once for each snapshot. */
function supersededAnother({ pins }: Pins, { attestor, account }: Attested): boolean {
  let names = supersededNames.get(pins)
  if (!names) {
    names = new Set()
    for (const pin of pins.values()) if (pin.superseded) names.add(accountName(pin.attestorId, pin.account))
    supersededNames.set(pins, names)
  }
  return account !== undefined && names.has(accountName(attestor.id, account.name))
}
