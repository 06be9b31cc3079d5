/** What handlers see of a request, and what they answer. Nothing of Express. */
import type { Receipt } from '@purser/sdk/verify'
import type { Role } from '../store/rows.ts'
import type { SelectorRecord } from '../audit/entry.ts'

export type Caller =
  | { kind: 'anonymous' }
  | { kind: 'operator'; operator: string; role: Role; tokenId: string; firstUse: boolean }
  | { kind: 'session'; session: SessionCaller }
  /** Holds a token of the bootstrap form; the handler finds it. */
  | { kind: 'bootstrap'; hash: Buffer }

export type SessionCaller = {
  id: string
  spiffeId: string
  workloadId: string
  attestorId: string
  selectors: SelectorRecord
  expiresAt: Date
}

export type ApiRequest = {
  id: string
  time: Date
  ip: string
  params: Record<string, string>
  query: Record<string, unknown>
  /** Valid by openapi.yaml; handlers name the type of their operation's body. */
  body: unknown
  caller: Caller
  ifMatch?: string
  idempotencyKey?: string
}

export type Reply = {
  status?: number
  headers?: Record<string, string>
  body:
    | { json: unknown }
    | { text: string; type: string }
    | { bytes: Buffer; type: string }
    /** Chunks leave one by one after the entry; a stop in the middle is visible to the reader. */
    | { stream: AsyncIterable<string>; type: string }
  /** Puts the receipt into the JSON body; the number is the size since which growth is proved. */
  receipt?: { sinceSize?: number; put: (receipt: Receipt) => unknown }
}

export const json = (value: unknown, more: Omit<Reply, 'body'> = {}): Reply => ({ ...more, body: { json: value } })
