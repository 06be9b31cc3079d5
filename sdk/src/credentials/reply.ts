/** Parses the answer of `POST /api/v1/credentials`. */
import { type RoleReply, readRoles } from './role.ts'
import { type Fields, type Holder, fields, holder, list, text, time, whole } from '../json/fields.ts'
import { type SecretReply, readSecrets } from './secret.ts'
import type { Receipt } from '../verify/receipt.ts'

export type X509Reply = ReturnType<typeof readX509>
export type JwtReply = { audience: string[]; token: string; jti: string; expiresAt: Date; renewAfter: Date }
export type AccessTokenReply = { token: string; id: string; expiresAt: Date }

export type CredentialsReply = Holder & {
  /** The proof was used before with the same key, so the answer holds only the certificate. */
  repeated: boolean
  x509?: X509Reply
  jwts: JwtReply[]
  accessToken?: AccessTokenReply
  secrets: SecretReply[]
  databases: RoleReply[]
  /** Parsed, not yet verified. */
  receipt?: Receipt
}

/** @throws PurserError `bad_reply`, naming the field */
export function readReply(json: Fields): CredentialsReply {
  return {
    ...holder(json),
    repeated: json.repeated === true,
    ...(json.x509 !== undefined && { x509: readX509(fields(json.x509, 'x509')) }),
    jwts: json.jwts === undefined ? [] : list(json.jwts, 'jwts', readJwt),
    ...(json.accessToken !== undefined && { accessToken: readAccessToken(fields(json.accessToken, 'accessToken')) }),
    secrets: json.secrets === undefined ? [] : readSecrets(json.secrets),
    databases: json.databases === undefined ? [] : readRoles(json.databases),
    ...(json.receipt !== undefined && { receipt: readReceipt(fields(json.receipt, 'receipt')) }),
  }
}

const readX509 = (x509: Fields) => ({
  certificateChain: text(x509.certificateChain, 'x509/certificateChain'),
  trustBundle: text(x509.trustBundle, 'x509/trustBundle'),
  ...(x509.privateKey !== undefined && { privateKey: text(x509.privateKey, 'x509/privateKey') }),
  serialNumber: text(x509.serialNumber, 'x509/serialNumber'),
  notAfter: time(x509.notAfter, 'x509/notAfter'),
  renewAfter: time(x509.renewAfter, 'x509/renewAfter'),
})

function readJwt(value: unknown, name: string): JwtReply {
  const jwt = fields(value, name)
  return {
    audience: list(jwt.audience, `${name}/audience`, text),
    token: text(jwt.token, `${name}/token`),
    jti: text(jwt.jti, `${name}/jti`),
    expiresAt: time(jwt.expiresAt, `${name}/expiresAt`),
    renewAfter: time(jwt.renewAfter, `${name}/renewAfter`),
  }
}

const readAccessToken = (token: Fields): AccessTokenReply => ({
  token: text(token.token, 'accessToken/token'),
  id: text(token.id, 'accessToken/id'),
  expiresAt: time(token.expiresAt, 'accessToken/expiresAt'),
})

export const readReceipt = (receipt: Fields): Receipt => ({
  epoch: whole(receipt.epoch, 'receipt/epoch'),
  index: whole(receipt.index, 'receipt/index'),
  entry: text(receipt.entry, 'receipt/entry'),
  nonce: text(receipt.nonce, 'receipt/nonce'),
  proof: text(receipt.proof, 'receipt/proof'),
  ...(receipt.consistency !== undefined && { consistency: list(receipt.consistency, 'receipt/consistency', text) }),
})
