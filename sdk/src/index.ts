/** Credentials from Purser in one request, with every receipt verified. */
export { connect } from './connect.ts'
export { PurserError } from './errors.ts'
export { peerOf } from './tls/peer.ts'
export type * from './types.ts'
