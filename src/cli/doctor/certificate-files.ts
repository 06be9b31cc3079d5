/** Checks the certificate files: the key fits, the certificate is valid now, and it names the public host. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import type { Config } from '../../config.ts'
import { codeOf } from '../io.ts'
import { type Finding, collectOr, fail, modeOf, ok, warn } from './finding.ts'

const check = 'certificate'
const why = 'clients cannot verify the server'

export function checkCertificate({ tls, publicUrl }: Pick<Config, 'tls' | 'publicUrl'>, now: Date): Finding[] {
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')
  if (tls.kind === 'off') return []
  if (tls.kind === 'own-ca') {
    if (tls.names.includes(host)) return [ok(check, `issued by Purser's own CA for ${tls.names.join(', ')}`)]
    const remedy = `add ${host} to PURSER_TLS_NAMES, unless a proxy in front of Purser has that name`
    return [warn(check, `PURSER_TLS_NAMES lacks ${host}, the host of the public URL`, { why: foreign, do: remedy })]
  }
  const { certFile, keyFile } = tls
  const [cert, key] = [readText(certFile), readText(keyFile)]
  if (typeof cert !== 'string' || typeof key !== 'string') return [cert, key].filter((part) => typeof part !== 'string')
  const leaf = leafOf(cert)
  if (!leaf) {
    const remedy = 'write the chain there as PEM, with the server certificate first'
    return [fail(check, `${certFile} holds no PEM certificate`, { why: 'the server does not start', do: remedy })]
  }
  return collectOr(
    ok(check, `${certFile}, until ${leaf.validTo}`),
    judgePair(leaf, key, tls),
    judgeTime(leaf, certFile, now),
    judgeName(leaf, host, certFile),
    judgeMode(keyFile),
  )
}

const foreign = 'clients that use this name cannot verify the server'

function readText(path: string): string | Finding {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    const what = `cannot read ${path} (${codeOf(error) ?? 'unknown'})`
    return fail(check, what, { why: 'the server does not start', do: `ls -l ${path}` })
  }
}

function leafOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function judgePair(
  leaf: X509Certificate,
  key: string,
  files: { certFile: string; keyFile: string },
): Finding | undefined {
  const { certFile, keyFile } = files
  const advice = {
    why: 'the server does not start',
    do: `openssl x509 -in ${certFile} -noout -pubkey; openssl pkey -in ${keyFile} -pubout`,
  }
  try {
    if (leaf.checkPrivateKey(createPrivateKey(key))) return undefined
  } catch {
    return fail(check, `${keyFile} holds no private key in PEM without a passphrase`, advice)
  }
  const order = leaf.ca ? ': the first certificate belongs to a CA, but the server certificate must come first' : ''
  return fail(check, `${keyFile} is not the key of ${certFile}${order}`, advice)
}

const soonDays = 7

function judgeTime(leaf: X509Certificate, certFile: string, now: Date): Finding | undefined {
  const [from, until] = [new Date(leaf.validFrom), new Date(leaf.validTo)]
  const remedy = `write a renewed certificate to ${certFile}, and its key: the server loads both within a second`
  if (until <= now) return fail(check, `${certFile} expired at ${until.toISOString()}`, { why, do: remedy })
  if (from > now) return fail(check, `${certFile} is not valid before ${from.toISOString()}`, { why, do: remedy })
  const days = (until.getTime() - now.getTime()) / 86_400_000
  if (days > soonDays) return undefined
  return warn(check, `${certFile} expires in ${Math.floor(days)} days`, { why, do: remedy })
}

function judgeName(leaf: X509Certificate, host: string, certFile: string): Finding | undefined {
  const match = isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)
  if (match !== undefined) return undefined
  const names = leaf.subjectAltName ?? 'no host'
  return warn(check, `${certFile} is for ${names}, not for ${host}, the host of the public URL`, {
    why: foreign,
    do: `get a certificate for ${host} as well, unless a proxy in front of Purser has that name`,
  })
}

function judgeMode(keyFile: string): Finding | undefined {
  const { mode } = statSync(keyFile)
  if ((mode & 0o077) === 0) return undefined
  const danger = 'a reader of the key can pose as this server'
  const what = `${keyFile} has mode ${modeOf(mode)}: others may read it`
  return warn(check, what, { why: danger, do: `chmod 600 ${keyFile}` })
}
