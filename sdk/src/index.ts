/** Credentials from Purser in one request, with every receipt verified. */
export { connect } from './connect.ts'
export { PurserError, type Heads, type OwnErrorCode } from './errors.ts'
export type { EventName, Events } from './events.ts'
export type { CaOption, ConnectOptions, ProofOption, ProofRequest, X509Option } from './options.ts'
export type { AccessToken, Purser, Session, X509 } from './purser.ts'
export type { Choice } from './choices.ts'
export type { Receipt } from './verify/receipt.ts'
