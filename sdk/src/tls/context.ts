/** What every TLS connection of a workload is made with: its certificate, the trust domain's roots, and nothing older than 1.3. */
import { constants } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { X509 } from '../types/purser.ts'

type Context = Required<Pick<SecureContextOptions, 'cert' | 'key' | 'ca' | 'minVersion' | 'secureOptions'>>

export const contextOf = ({ certificateChain, privateKey, trustBundle }: X509): Context => ({
  cert: certificateChain,
  key: privateKey,
  ca: trustBundle,
  minVersion: 'TLSv1.3',
  // A resumed session would skip the peer's certificate. Without this option a ticket holds the session; with it a ticket
  // names one that the server would have to keep, and it keeps none.
  secureOptions: constants.SSL_OP_NO_TICKET,
})
