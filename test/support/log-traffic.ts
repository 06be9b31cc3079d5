/** Entries of a real log, created through the front door. */
import type { Receipt } from '@purser/sdk/verify'
import { type Issuer, createIssuer, registerLab } from './issuer.ts'
import { type TestPurser, startPurser } from './purser.ts'

/** Limits that a test's own load does not reach. */
export const generous = {
  PURSER_LIMIT_ADDRESS_PER_SECOND: '100000',
  PURSER_LIMIT_PUBLIC_PER_SECOND: '100000',
  PURSER_LIMIT_ATTESTOR_PER_SECOND: '100000',
  PURSER_LIMIT_REFUSALS_PER_MINUTE: '100000',
  PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE: '100000',
}

export type Busy = {
  purser: TestPurser
  issuer: Issuer
  /** Attests `count` times and returns the receipts, in no order. */
  issue(count: number): Promise<Receipt[]>
}

export async function startBusy(options: Parameters<typeof startPurser>[0] = {}): Promise<Busy> {
  const purser = await startPurser({ ...options, env: { ...generous, ...options.env } })
  const issuer = await createIssuer()
  if (!options.existing) await registerLab(purser, issuer)
  return { purser, issuer, issue: (count) => issueMany(purser, issuer, count) }
}

/** Attests `count` times, up to 64 at once. */
export async function issueMany(purser: TestPurser, issuer: Issuer, count: number): Promise<Receipt[]> {
  const token = await issuer.token()
  const issue = async (): Promise<Receipt> => {
    const answer = await purser.call('POST', '/api/v1/credentials', { proof: { kind: 'jwt', token } })
    if (answer.status !== 200) throw new Error(`no credentials: ${answer.text}`)
    return answer.body.receipt as Receipt
  }
  const receipts: Receipt[] = []
  while (receipts.length < count) {
    receipts.push(...(await Promise.all(Array.from({ length: Math.min(64, count - receipts.length) }, issue))))
  }
  return receipts
}
