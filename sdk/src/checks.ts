/** The single checks that verifying others is made of, for a tool that tells of each one: the `purser` command. */
export { type Bundle, readBundle } from './bundle.ts'
export { fingerprintOf, readCertificates, urisOf } from './certificates.ts'
export { type Crl, readCrl } from './crl.ts'
export { DerError } from './der.ts'
export { type Claims, judgeClaims, readClaims } from './jwt/claims.ts'
export { type Compact, readCompact } from './jwt/compact.ts'
export { checkSignature } from './jwt/verify-jwt.ts'
export { readSpiffeId } from './spiffe-id.ts'
