/** The trust anchors: the bundle of the trust domain, from its server or from a file. */
import type { X509Certificate } from 'node:crypto'
import { PurserError } from '@purser/sdk/connection'
import { type Bundle, readBundle, readCertificates, urisOf } from '@purser/sdk/checks'
import type { Api } from '../api.ts'
import { CliError, type Io, usageError } from '../io.ts'
import { readText } from '../settings.ts'
import { textOf } from '../wire.ts'

export type Anchors = {
  roots: X509Certificate[]
  /** Undefined for a file of roots, which holds no JWT keys. */
  jwtKeys: Bundle['jwtKeys'] | undefined
  /** Undefined when it is unknown. */
  trustDomain: string | undefined
  issuer: string | undefined
  /** Source of the anchors, for messages. */
  from: string
}

/** @throws CliError when the server cannot be reached, or does not return a bundle */
export async function anchorsOfServer(api: Api, trustDomain: string | undefined): Promise<Anchors> {
  const about = await api.call('GET', '/api/v1/server', { token: null })
  const text = await textOf(await api.open('/bundle', { token: null }))
  const bundle = readBundleOf(text, (why) => new CliError(`${api.url}: ${why}`))
  return {
    ...anchorsOf(bundle),
    trustDomain: trustDomain ?? about.body.trustDomain,
    issuer: about.body.issuer,
    from: `the bundle of ${about.body.trustDomain}, from ${api.url}`,
  }
}

/** A SPIFFE bundle, as from `GET /bundle`, or roots in PEM, as in ca.crt. */
export function anchorsOfFile(io: Pick<Io, 'readFile'>, path: string, trustDomain: string | undefined): Anchors {
  const text = readText(io, path, '--bundle')
  const wrong = (why: string): CliError => usageError(`--bundle: ${path}: ${why}`)
  const roots = text.includes('-----BEGIN ') ? readCertificates(text) : undefined
  const anchors = roots ? { roots, jwtKeys: undefined } : anchorsOf(readBundleOf(text, wrong))
  return {
    ...anchors,
    trustDomain: trustDomain ?? trustDomainOf(anchors.roots),
    issuer: undefined,
    from: `the bundle in ${path}`,
  }
}

const anchorsOf = ({ roots, jwtKeys }: Bundle): Pick<Anchors, 'roots' | 'jwtKeys'> => ({
  roots: readCertificates(roots) ?? [],
  jwtKeys,
})

function readBundleOf(text: string, wrong: (why: string) => CliError): Bundle {
  try {
    return readBundle(text)
  } catch (error) {
    if (!(error instanceof PurserError)) throw error
    throw wrong('it is neither a SPIFFE bundle with a root nor certificates in PEM')
  }
}

/** A root of a SPIFFE CA names its trust domain (SPIFFE X509-SVID section 2.2). */
function trustDomainOf(roots: readonly X509Certificate[]): string | undefined {
  const [first, ...others] = new Set(roots.flatMap((root) => urisOf(root).map((uri) => uri.slice('spiffe://'.length))))
  return others.length === 0 ? first : undefined
}
