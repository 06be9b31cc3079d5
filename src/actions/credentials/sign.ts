/** Signs every credential of a request, or none. It signs in memory: no credential leaves before its entry. */
import type { Grant } from '../../authorize/grant.ts'
import { maySecret } from '../../authorize/secret-grants.ts'
import { type Refusal, refuse } from '../../errors.ts'
import type { AccessTokenReply, IssueAccessToken } from '../../issue/access-token.ts'
import type { IssueJwt, JwtReply, JwtRequest } from '../../issue/jwt-svid.ts'
import type { IssueX509, X509Reply, X509Request } from '../../issue/x509.ts'
import { trustedRoots } from '../../keys/bundle.ts'
import type { Keys } from '../../keys/keys.ts'
import { type ReadParts, type ReadSecrets, type SecretRequest, readSecrets } from '../../secrets/read.ts'
import type { SessionRow, TokenRow } from '../../store/effects.ts'
import type { Issued } from '../../store/issued.ts'
import type { Snapshot } from '../../store/snapshot.ts'

export type SignParts = {
  keys: Pick<Keys, 'signing' | 'issuingCa'>
  issueX509: IssueX509
  issueJwt: IssueJwt
  issueAccessToken: IssueAccessToken
  readSecretsBy: ReadParts
}

export type SignRequest = {
  x509?: X509Request
  jwts?: JwtRequest[]
  secrets?: SecretRequest[]
  accessToken?: { lifetimeSeconds?: number }
}

export type Signed = {
  x509?: X509Reply
  jwts?: JwtReply[]
  accessToken?: AccessTokenReply
  secrets?: ReadSecrets
  /** For the entry of the log. */
  issued: Issued
  token?: TokenRow
}

/** @throws Refusal `not_granted`, `bad_csr`, `expires_too_soon`, `not_found` */
export async function sign(
  parts: SignParts,
  { x509, jwts = [], accessToken, secrets = [] }: SignRequest,
  grant: Grant,
  session: SessionRow,
  { snapshot, now, isFresh }: { snapshot: Snapshot; now: Date; isFresh: boolean },
): Promise<Signed> {
  const { keys } = parts
  const { spiffeId } = grant
  const sessionEnd = session.expiresAt
  const signed: Signed = { issued: {} }
  if (x509) {
    if (!grant.x509) throw notGranted('/x509')
    const signing = { ca: keys.issuingCa(snapshot, now), trustBundle: trustedRoots(snapshot, now), sessionEnd, now }
    const { reply, record } = parts.issueX509(x509, { spiffeId, ...grant.x509 }, signing)
    signed.x509 = reply
    signed.issued.x509 = record
  }
  if (jwts.length > 0) {
    const { jwt } = grant
    if (!jwt) throw notGranted('/jwts')
    const key = (alg: 'ES256' | 'RS256') => keys.signing(snapshot, alg === 'ES256' ? 'jwt-es256' : 'jwt-rs256', now)
    const signing = { key, issuer: snapshot.issuer, sessionEnd, now }
    const issued = await Promise.all(
      jwts.map((request, n) => parts.issueJwt(request, `/jwts/${n}`, { spiffeId, ...jwt }, signing)),
    )
    signed.jwts = issued.map(({ reply }) => reply)
    signed.issued.jwts = issued.map(({ record }) => record)
  }
  if (accessToken) {
    const { reply, record, row } = parts.issueAccessToken(accessToken, grant.accessToken, session, now)
    signed.accessToken = reply
    signed.issued.accessToken = record
    signed.token = row
  }
  if (secrets.length > 0) {
    const reader = { holder: session.id, may: (path: Parameters<typeof maySecret>[2]) => maySecret(grant.secrets, 'read', path), isFresh } // prettier-ignore
    signed.secrets = await readSecrets(parts.readSecretsBy, secrets, reader, now)
    signed.issued.secrets = signed.secrets.record
  }
  return signed
}

const notGranted = (pointer: string): Refusal =>
  refuse('not_granted', { errors: [{ pointer, detail: 'the workload entry grants none' }] })
