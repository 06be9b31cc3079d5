/** The public documents of a trust domain, as clients read them. */
import { X509Certificate } from 'node:crypto'
import type { TestPurser } from './purser.ts'

type Jwk = Record<string, unknown> & { kid?: string; use: string; alg?: string; x5c?: string[] }

export type Bundle = { keys: Jwk[]; spiffe_sequence: number }

export const bundleOf = async (purser: TestPurser): Promise<Bundle> =>
  (await purser.call('GET', '/bundle')).body as unknown as Bundle

export const jwksOf = async (purser: TestPurser): Promise<Jwk[]> =>
  (await purser.call('GET', '/keys')).body.keys as Jwk[]

export const kidsOf = async (purser: TestPurser): Promise<string[]> =>
  (await jwksOf(purser)).map((key) => key.kid ?? '').sort()

/** SHA-256 fingerprints of the roots in the bundle. */
export const rootsIn = (bundle: Bundle): string[] =>
  bundle.keys.flatMap((key) =>
    (key.x5c ?? []).map((der) => new X509Certificate(Buffer.from(der, 'base64')).fingerprint256),
  )

/** PEM certificates of a chain, one by one. */
export const split = (chain: string): string[] => chain.split(/(?<=-----END CERTIFICATE-----\n)/).filter(Boolean)
