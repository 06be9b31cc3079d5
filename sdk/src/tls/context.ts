/** TLS settings of every connection: the certificate, the trust domain's roots, and at least TLS 1.3. */
import { constants } from 'node:crypto'
import type { SecureContextOptions } from 'node:tls'
import type { X509 } from '../types/purser.ts'

type Context = Required<Pick<SecureContextOptions, 'cert' | 'key' | 'ca' | 'minVersion' | 'secureOptions'>>

export const contextOf = ({ certificateChain, privateKey, trustBundle }: X509): Context => ({
  cert: certificateChain,
  key: privateKey,
  ca: trustBundle,
  minVersion: 'TLSv1.3',
  // A resumed session would skip the verification of the peer. With this option, a ticket only refers to a session in the
  // server's memory, which stores none.
  secureOptions: constants.SSL_OP_NO_TICKET,
})
