/** The pinned ids of accounts in memory. */
import type { AccountPinRow } from '../rows.ts'

/** JSON tuples, so that no account name can collide with another. */
const accountKey = (attestorId: string, account: string): string => JSON.stringify([attestorId, account])

/** What readers of a snapshot see. */
export type Pins = Pick<PinTable, 'get' | 'ofAccount'>

export class PinTable {
  /** The pins of an account by their ids. An account has one, and one more for each time that it was created again. */
  readonly #accounts = new Map<string, Map<string, AccountPinRow>>()

  get(attestorId: string, account: string, uid: string): AccountPinRow | undefined {
    return this.#accounts.get(accountKey(attestorId, account))?.get(uid)
  }

  ofAccount(attestorId: string, account: string): AccountPinRow[] {
    return [...(this.#accounts.get(accountKey(attestorId, account))?.values() ?? [])]
  }

  set(pin: AccountPinRow): void {
    const key = accountKey(pin.attestorId, pin.account)
    const pins = this.#accounts.get(key)
    if (pins) pins.set(pin.uid, pin)
    else this.#accounts.set(key, new Map([[pin.uid, pin]]))
  }
}
