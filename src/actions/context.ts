/** What an action knows of the request behind it. Nothing of HTTP. */
import type { Caller } from '../authorize/caller.ts'
import type { ClientCertificate } from '../authorize/client-certificate.ts'

export type Context = {
  /** The request's id. */
  requestId: string
  time: Date
  /** The caller's address. */
  address: string
  caller: Caller
  /** The certificate of the connection, where it is valid now. The log says whether Purser issued it (sessions/find.ts). */
  clientCertificate: () => ClientCertificate | undefined
  /** Set where the caller may send the same request again. */
  idempotencyKey?: string
  /** The caller's own words; the entry of the log keeps them. */
  reason?: string
}
