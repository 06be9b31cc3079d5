/** How long keys live. A key is published before it signs, and stays until everything that it signed is expired. */
import type { KeyTimes } from './new-key.ts'

/** Seconds. */
export type Lifetimes = {
  /** Published for this long before first use: more than every cache lifetime that we advertise. */
  publish: number
  /** Signs for this long. */
  sign: { issuingCa: number; jwt: number }
  /** The longest credential that it may sign. */
  max: { x509: number; jwt: number }
  rootCa: number
}

/** A request to an upstream CA without an answer in this time is dropped. */
const requestedSeconds = 90 * 24 * 3600

export const after = (time: Date, seconds: number): Date => new Date(time.getTime() + seconds * 1000)

/** @param published how long before its first use; 0 for the first keys of all, which no client has cached yet */
export function timesFor(
  kind: 'root-ca' | 'issuing-ca' | 'jwt',
  lifetimes: Lifetimes,
  now: Date,
  published: number,
): KeyTimes {
  const activeAt = after(now, published)
  if (kind === 'root-ca') {
    const end = after(activeAt, lifetimes.rootCa)
    return { createdAt: now, activeAt, retireAt: end, goneAt: end }
  }
  const signs = kind === 'jwt' ? lifetimes.sign.jwt : lifetimes.sign.issuingCa
  const max = kind === 'jwt' ? lifetimes.max.jwt : lifetimes.max.x509
  const retireAt = after(activeAt, signs)
  return { createdAt: now, activeAt, retireAt, goneAt: after(retireAt, max) }
}

export const requestedFrom = (now: Date): KeyTimes => ({
  createdAt: now,
  activeAt: endless,
  retireAt: endless,
  goneAt: after(now, requestedSeconds),
})

/** Far enough to mean "until something ends it". */
export const endless = new Date('9999-01-01T00:00:00Z')

export const endlessFrom = (now: Date): KeyTimes => ({
  createdAt: now,
  activeAt: now,
  retireAt: endless,
  goneAt: endless,
})
