/** Checks the certificate files: the key fits, the certificate is valid now, and it names the public host. */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { readFileSync, statSync } from 'node:fs'
import { isIP } from 'node:net'
import type { Config } from '../../config.ts'
import { type Finding, codeOf, fail, isWorking, modeOf, ok, warn } from './finding.ts'

const check = 'certificate'
const why = 'clients cannot verify the server'

export function lookAtCertificate({ tls, publicUrl }: Pick<Config, 'tls' | 'publicUrl'>, now: Date): Finding[] {
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')
  if (tls.kind === 'off') return []
  if (tls.kind === 'own-ca') {
    if (tls.names.includes(host)) return [ok(check, `issued by Purser's own CA for ${tls.names.join(', ')}`)]
    const remedy = `add ${host} to PURSER_TLS_NAMES, unless a proxy in front of Purser has that name`
    return [warn(check, `PURSER_TLS_NAMES lacks ${host}, the host of the public URL`, { why: foreign, do: remedy })]
  }
  const { certFile, keyFile } = tls
  const read = { cert: readText(certFile), key: readText(keyFile) }
  const unread = [
    ...(read.cert instanceof Error ? [unreadable(certFile, read.cert)] : []),
    ...(read.key instanceof Error ? [unreadable(keyFile, read.key)] : []),
  ]
  if (read.cert instanceof Error || read.key instanceof Error) return unread
  const leaf = leafOf(read.cert)
  if (!leaf) {
    const remedy = 'write the chain there as PEM, with the server certificate first'
    return [fail(check, `${certFile} holds no PEM certificate`, { why: 'the server does not start', do: remedy })]
  }
  const findings = [
    ...aboutPair(leaf, read.key, tls),
    ...aboutTime(leaf, certFile, now),
    ...aboutName(leaf, host, certFile),
    ...aboutMode(keyFile),
  ]
  return isWorking(findings) && findings.length === 0 ? [ok(check, `${certFile}, until ${leaf.validTo}`)] : findings
}

const foreign = 'clients that use this name cannot verify the server'

function readText(path: string): string | Error {
  try {
    return readFileSync(path, 'utf8')
  } catch (error) {
    return error instanceof Error ? error : new Error('unreadable')
  }
}

const unreadable = (path: string, error: Error): Finding =>
  fail(check, `cannot read ${path} (${codeOf(error) ?? 'unknown'})`, {
    why: 'the server does not start',
    do: `ls -l ${path}`,
  })

function leafOf(pem: string): X509Certificate | undefined {
  try {
    return new X509Certificate(pem)
  } catch {
    return undefined
  }
}

function aboutPair(leaf: X509Certificate, key: string, files: { certFile: string; keyFile: string }): Finding[] {
  const { certFile, keyFile } = files
  const advice = {
    why: 'the server does not start',
    do: `openssl x509 -in ${certFile} -noout -pubkey; openssl pkey -in ${keyFile} -pubout`,
  }
  try {
    if (leaf.checkPrivateKey(createPrivateKey(key))) return []
  } catch {
    return [fail(check, `${keyFile} holds no private key in PEM without a passphrase`, advice)]
  }
  const order = leaf.ca ? ': the first certificate belongs to a CA, but the server certificate must come first' : ''
  return [fail(check, `${keyFile} is not the key of ${certFile}${order}`, advice)]
}

const soonDays = 7

function aboutTime(leaf: X509Certificate, certFile: string, now: Date): Finding[] {
  const [from, until] = [new Date(leaf.validFrom), new Date(leaf.validTo)]
  const remedy = `write a renewed certificate to ${certFile}, and its key: the server loads both within a second`
  if (until <= now) return [fail(check, `${certFile} expired at ${until.toISOString()}`, { why, do: remedy })]
  if (from > now) return [fail(check, `${certFile} is not valid before ${from.toISOString()}`, { why, do: remedy })]
  const days = (until.getTime() - now.getTime()) / 86_400_000
  if (days > soonDays) return []
  return [warn(check, `${certFile} expires in ${Math.floor(days)} days`, { why, do: remedy })]
}

function aboutName(leaf: X509Certificate, host: string, certFile: string): Finding[] {
  const named = isIP(host) === 0 ? leaf.checkHost(host) : leaf.checkIP(host)
  if (named !== undefined) return []
  const names = leaf.subjectAltName ?? 'no host'
  const remedy = `get a certificate for ${host} as well, unless a proxy in front of Purser has that name`
  return [
    warn(check, `${certFile} is for ${names}, not for ${host}, the host of the public URL`, {
      why: foreign,
      do: remedy,
    }),
  ]
}

function aboutMode(keyFile: string): Finding[] {
  const { mode } = statSync(keyFile)
  if ((mode & 0o077) === 0) return []
  const danger = 'a reader of the key can pose as this server'
  return [
    warn(check, `${keyFile} has mode ${modeOf(mode)}: others may read it`, { why: danger, do: `chmod 600 ${keyFile}` }),
  ]
}
