/** Checks in Purser's CRLs whether a certificate or a CA above it was revoked (RFC 5280 section 5). */
import type { X509Certificate } from 'node:crypto'
import { type Crl, DerError, readCrl } from '@purser/sdk/checks'
import { crlUrlsOf } from '../../keys/read-extensions.ts'
import { readCertificate } from '../../keys/read-certificate.ts'
import type { Api } from '../api.ts'
import { CliError } from '../io.ts'
import { bytesOf } from '../wire.ts'
import { type Checks, moment } from './checks.ts'
import { nameOf } from './path.ts'

const check = 'revocation'
const maxMib = 4

/** @param path the leaf first, the root last */
export async function judgeCrls(checks: Checks, path: readonly X509Certificate[], api: Api, now: Date): Promise<void> {
  if (!checks.sound()) return checks.skipped(check, 'not checked: another check failed')
  for (const [n, certificate] of path.entries()) {
    const issuer = path[n + 1]
    // A root has no issuer that could revoke it.
    if (!issuer) return
    await judgeCertificate(checks, n === 0 ? check : `${check} (CA)`, certificate, { issuer, api, now })
  }
}

type Context = { issuer: X509Certificate; api: Api; now: Date }

async function judgeCertificate(
  checks: Checks,
  name: string,
  certificate: X509Certificate,
  context: Context,
): Promise<void> {
  const { api, issuer, now } = context
  const [url] = crlUrlsOf(readCertificate(certificate.raw).extensions)
  // Fetched from the verified server, whatever host the certificate names.
  const [at, keyId, shard] = /\/crl\/([\w-]{1,64})(?:\/(\d{1,3}))?$/.exec(url ?? '') ?? []
  if (url === undefined) return checks.skipped(name, `${nameOf(certificate)} names no CRL`)
  if (keyId === undefined) return checks.skipped(name, `${url} is not a CRL of Purser, so it was not fetched`)
  let crl: Crl
  try {
    const reply =
      shard === undefined
        ? await api.open('/crl/{keyId}', { path: { keyId }, token: null })
        : await api.open('/crl/{keyId}/{shard}', { path: { keyId, shard: Number(shard) }, token: null })
    crl = readCrl(await bytesOf(reply, maxMib), issuer, url)
  } catch (error) {
    if (error instanceof DerError) return checks.failed(name, `the CRL at ${at} does not verify: ${error.message}`)
    if (!(error instanceof CliError)) throw error
    return checks.skipped(name, `the CRL at ${at} could not be fetched: ${error.message.replaceAll('\n', '; ')}`)
  }
  const serial = certificate.serialNumber.toLowerCase().replace(/^0+(?=.)/, '')
  const source = `the CRL of ${crl.thisUpdate.toISOString()}`
  if (crl.serials.has(serial)) checks.failed(name, `${source} lists serial ${serial}: it was revoked`)
  else if (crl.nextUpdate <= now) checks.failed(name, `${source} expired at ${moment(crl.nextUpdate, now)}`)
  else checks.ok(name, `${source} does not list ${nameOf(certificate)}`)
}
