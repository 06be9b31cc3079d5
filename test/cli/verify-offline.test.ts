/** `purser verify --bundle`: tokens and certificates with one fault each, and the check that reports it. */
import { type KeyObject, X509Certificate } from 'node:crypto'
import { SignJWT, exportJWK } from 'jose'
import { beforeAll, describe, expect, test } from 'vitest'
import { contextPrimitive, oid, sequence } from '../../src/keys/asn1.ts'
import { emptyName, keyIdOf } from '../../src/keys/ca-certificates.ts'
import { buildCertificate } from '../../src/keys/certificate.ts'
import {
  basicConstraints,
  extendedKeyUsage,
  extension,
  keyUsage,
  subjectAltName,
  subjectKeyIdentifier,
} from '../../src/keys/extensions.ts'
import { type CommandResult, cli } from '../support/cli.ts'
import { scratch } from '../support/openssl.ts'
import { type TestCa, ecPair, edPair, newSerial, rsaPair, secondsFrom, spkiOf, testCa } from '../support/test-ca.ts'

const now = new Date()
const at = (seconds: number): number => Math.floor(now.getTime() / 1000) + seconds
const key = ecPair()
const stranger = ecPair()
const ca: TestCa = testCa(now)
const other: TestCa = testCa(now)
const pemOf = ({ certificate }: { certificate: X509Certificate }): string => certificate.toString()

type Result = { verified: boolean; against: string; checks: { check: string; state: string; detail: string }[] }

/** Runs it with the input in a file, and returns the failed checks. */
async function judge(input: string, bundle: string, more: string[] = []) {
  const file = scratch()
  const argv = ['verify', file('input', input), '--bundle', file('bundle', bundle), '-o', 'json', ...more]
  const command = await cli(argv)
  const result = JSON.parse(command.out) as Result
  const checksIn = (state: string): string[] =>
    result.checks.filter((check) => check.state === state).map(({ check }) => check)
  const detail = (check: string): string => result.checks.find((entry) => entry.check === check)?.detail ?? ''
  expect(command.code).toBe(result.verified ? 0 : 4)
  return { ...command, result, failed: checksIn('failed'), ok: checksIn('ok'), skipped: checksIn('skipped'), detail }
}

describe('a JWT', () => {
  let bundle: string
  beforeAll(async () => {
    const root = { use: 'x509-svid', kty: 'EC', x5c: [ca.root.certificate.raw.toString('base64')] }
    const jwk = { ...(await exportJWK(key.publicKey)), use: 'jwt-svid', kid: 'k1' }
    bundle = JSON.stringify({ keys: [root, jwk], spiffe_sequence: 1 })
  })

  const plain = {
    iss: 'https://purser.example.org',
    sub: 'spiffe://example.org/lab/web',
    aud: ['payments'],
    iat: at(-60),
    nbf: at(-60),
    exp: at(240),
    jti: 'a1',
  }
  const sign = (claims: object = {}, header: object = {}, by: KeyObject = key.privateKey): Promise<string> =>
    new SignJWT(JSON.parse(JSON.stringify({ ...plain, ...claims })) as Record<string, unknown>)
      .setProtectedHeader({ alg: 'ES256', kid: 'k1', typ: 'JWT', ...header })
      .sign(by)
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')

  test('that is valid: every check is printed, and each skipped one', async () => {
    const { failed, ok, skipped, result } = await judge(await sign(), bundle, ['--audience', 'other,payments'])
    expect(failed).toEqual([])
    expect(ok).toEqual(['form', 'key', 'signature', 'trust domain', 'claims', 'audience', 'times'])
    expect(skipped).toEqual(['issuer', 'revocation'])
    expect(result.against).toMatch(/^the bundle in /)
  })

  test.each<[string, () => Promise<string> | string, string[], RegExp]>([
    ['without a signature', async () => (await sign()).replace(/[^.]+$/, ''), ['form'], /three segments/],
    [
      'with another text of the same bytes',
      async () => (await sign()).replace(/.$/, (character) => next(character)),
      ['form'],
      /./,
    ],
    [
      'that names an address for its key',
      () => sign({}, { jku: 'https://evil.example' }),
      ['form'],
      /members other than alg/,
    ],
    ['without a kid', () => sign({}, { kid: undefined }), ['form'], /names no key/],
    ['of an unknown key', () => sign({}, { kid: 'k9' }), ['key'], /the bundle has no key k9 .*it has k1/],
    [
      'of a stranger under our kid',
      () => sign({}, {}, stranger.privateKey),
      ['signature'],
      /does not verify with its key/,
    ],
    [
      'signed with the public key as a secret',
      () => `${part({ alg: 'HS256', kid: 'k1' })}.${part(plain)}.AAAA`,
      ['signature'],
      /algorithm/,
    ],
    [
      'with an invalid signature',
      () => `${part({ alg: 'none', kid: 'k1' })}.${part(plain)}.AAAA`,
      ['signature'],
      /algorithm/,
    ],
    [
      'of another trust domain',
      () => sign({ sub: 'spiffe://evil.org/lab/web' }),
      ['trust domain'],
      /belongs to evil.org, not to example.org/,
    ],
    ['of the trust domain itself', () => sign({ sub: 'spiffe://example.org' }), ['claims'], /^sub: /],
    ['of no SPIFFE ID', () => sign({ sub: 'web' }), ['trust domain', 'claims'], /no SPIFFE ID/],
    ['for another audience', () => sign({ aud: 'vault' }), ['audience'], /vault, not payments/],
    ['without an audience', () => sign({ aud: [] }), ['claims'], /^aud: /],
    ['that ended', () => sign({ exp: at(-30) }), ['times'], /^exp: it ended at/],
    ['without an end', () => sign({ exp: undefined }), ['claims'], /^exp: /],
    ['that begins tomorrow', () => sign({ nbf: at(200) }), ['times'], /^nbf: /],
  ])('%s', async (_, make, expected, words) => {
    const token = await make()
    const { failed, detail, out, err } = await judge(token, bundle, ['--audience', 'payments'])
    expect(failed).toEqual(expected)
    expect(detail(expected[0] ?? '')).toMatch(words)
    expect(out + err).not.toContain(token)
  })

  /** Unused bits of the last character. */
  const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
  const next = (character: string): string => alphabet[alphabet.indexOf(character) + 1] ?? ''

  test('that was changed: every other fault is printed as well', async () => {
    const [header, , signature] = (await sign()).split('.')
    const changed = `${header}.${part({ ...plain, sub: 'spiffe://evil.org/x', iat: at(-600), nbf: at(-600), exp: at(-100), aud: 'x' })}.${signature}`
    const { failed } = await judge(changed, bundle, ['--audience', 'payments'])
    expect(failed).toEqual(['signature', 'trust domain', 'audience', 'times'])
  })

  test('with roots alone, or roots without a trust domain', async () => {
    const { failed, skipped } = await judge(await sign(), pemOf(ca.root))
    expect(failed).toEqual(['key'])
    expect(skipped).toEqual(['issuer', 'audience', 'revocation'])
    const elsewhere = await judge(await sign(), bundle, ['--trust-domain', 'other.org'])
    expect(elsewhere.failed).toEqual(['trust domain'])
  })
})

describe('a certificate', () => {
  type LeafOptions = {
    by?: TestCa['issuing']
    id?: string
    ids?: string[]
    extensions?: ReturnType<typeof basicConstraints>[]
    from?: number
    until?: number
    spki?: Buffer
  }
  const svid = (uri: string) => subjectAltName({ uri, dns: ['web.lab'] }, true)
  /** Two URIs, which our own code cannot write. */
  const twice = (uris: string[]) =>
    extension('2.5.29.17', true, sequence(uris.map((uri) => contextPrimitive(6, Buffer.from(uri)))))

  function leaf({
    by = ca.issuing,
    id = 'spiffe://example.org/lab/web',
    ids,
    extensions,
    from,
    until,
    spki,
  }: LeafOptions = {}) {
    const own = spki ?? spkiOf(key.publicKey)
    return buildCertificate({
      serial: newSerial(),
      issuerName: by.name,
      subjectName: emptyName(),
      notBefore: secondsFrom(now, from ?? -60),
      notAfter: secondsFrom(now, until ?? 3600),
      spki: own,
      extensions: [
        ...(extensions ?? [basicConstraints(false), keyUsage('digitalSignature'), extendedKeyUsage('clientAuth')]),
        ids ? twice(ids) : svid(id),
        subjectKeyIdentifier(keyIdOf(own)),
        by.authorityKeyIdentifier,
      ],
      signer: by.signer,
    }).pem
  }
  const whole = (pem: string): string => pem + pemOf(ca.issuing)
  const privatePem = (object: KeyObject): string => String(object.export({ type: 'pkcs8', format: 'pem' }))

  test('that is valid, with its key in the same file: every check is printed', async () => {
    const { failed, ok, skipped } = await judge(privatePem(key.privateKey) + whole(leaf()), pemOf(ca.root))
    expect(failed).toEqual([])
    expect(skipped).toEqual(['revocation'])
    const all = ['form', 'SPIFFE ID', 'trust domain', 'leaf', 'key usage', 'purposes', 'private key', 'chain', 'times']
    expect(ok).toEqual(all)
  })

  test.each([
    ['RSA', rsaPair()],
    ['Ed25519', edPair()],
  ])('of an %s key is valid too', async (_, { publicKey }) => {
    expect((await judge(whole(leaf({ spki: spkiOf(publicKey) })), pemOf(ca.root))).failed).toEqual([])
  })

  const flipped = (pem: string): string => {
    const der = Buffer.from(new X509Certificate(pem).raw)
    der[der.length - 1]! ^= 1
    return `-----BEGIN CERTIFICATE-----\n${der.toString('base64')}\n-----END CERTIFICATE-----\n`
  }
  const usages = (...purposes: Parameters<typeof keyUsage>) => [basicConstraints(false), keyUsage(...purposes)]
  const codeSigning = extension('2.5.29.37', false, sequence([oid('1.3.6.1.5.5.7.3.3')]))

  test.each<[string, () => string, string[], RegExp]>([
    ['alone, where its chain is needed', () => leaf(), ['chain'], /neither in the bundle nor in the input/],
    ["of another root's", () => leaf({ by: other.issuing }) + pemOf(other.issuing), ['chain'], /neither in the bundle/],
    [
      'that names our CA and is signed by another',
      () =>
        whole(
          leaf({
            by: { ...other.issuing, name: ca.issuing.name, authorityKeyIdentifier: ca.issuing.authorityKeyIdentifier },
          }),
        ),
      ['chain'],
      /the signature does not verify/,
    ],
    ['with a signature that was changed', () => whole(flipped(leaf())), ['chain'], /the signature does not verify/],
    ['that ended', () => whole(leaf({ until: -5 })), ['times'], /expired at .* ago/],
    ['that begins later', () => whole(leaf({ from: 600 })), ['times'], /is not valid before .*clock/],
    [
      'of two SPIFFE IDs',
      () => whole(leaf({ ids: ['spiffe://example.org/a', 'spiffe://example.org/b'] })),
      ['SPIFFE ID'],
      /has 2 URIs/,
    ],
    [
      'of no SPIFFE ID',
      () => whole(leaf({ id: 'https://example.org/a' })),
      ['SPIFFE ID', 'trust domain'],
      /not the SPIFFE ID/,
    ],
    ['of the trust domain itself', () => whole(leaf({ id: 'spiffe://example.org' })), ['SPIFFE ID'], /of a workload/],
    ['of another trust domain', () => whole(leaf({ id: 'spiffe://evil.org/a' })), ['trust domain'], /to evil.org/],
    [
      'that may sign certificates',
      () => whole(leaf({ extensions: usages('digitalSignature', 'keyCertSign') })),
      ['key usage'],
      /keyCertSign/,
    ],
    [
      'that may sign nothing',
      () => whole(leaf({ extensions: [basicConstraints(false)] })),
      ['key usage'],
      /digitalSignature is missing/,
    ],
    [
      'for code alone',
      () => whole(leaf({ extensions: [...usages('digitalSignature'), codeSigning] })),
      ['purposes'],
      /neither serverAuth nor clientAuth/,
    ],
    ['that is a CA', () => pemOf(ca.issuing), ['SPIFFE ID', 'leaf', 'key usage'], /not the SPIFFE ID of a workload/],
    [
      "with another's key beside it",
      () => privatePem(stranger.privateKey) + whole(leaf()),
      ['private key'],
      /belongs to another certificate/,
    ],
    [
      'that is garbage',
      () => '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----',
      ['form'],
      /not a readable/,
    ],
  ])('%s', async (_, make, expected, words) => {
    const { failed, detail } = await judge(make(), pemOf(ca.root))
    expect(failed).toEqual(expected)
    expect(detail(expected[0] ?? '')).toMatch(words)
  })

  test('of a CA that may have no CA below it', async () => {
    const below = testCa(now)
    // An issuing CA with pathLen 0 that signs like a root.
    const certificate = buildCertificate({
      serial: newSerial(),
      issuerName: ca.issuing.name,
      subjectName: below.issuing.name,
      notBefore: secondsFrom(now, -60),
      notAfter: secondsFrom(now, 3600),
      spki: spkiOf(below.issuing.certificate.publicKey),
      extensions: [
        basicConstraints(true, 0),
        keyUsage('keyCertSign', 'cRLSign'),
        subjectKeyIdentifier(below.issuing.keyId),
        ca.issuing.authorityKeyIdentifier,
      ],
      signer: ca.issuing.signer,
    }).pem
    const { failed, detail } = await judge(
      leaf({ by: below.issuing }) + certificate + pemOf(ca.issuing),
      pemOf(ca.root),
    )
    expect(failed).toEqual(['chain'])
    expect(detail('chain')).toContain('allows 0 CAs below it, but there are 1')
  })
})

describe('input that cannot be judged ends with 2, and nothing of it is printed', () => {
  const file = (): ReturnType<typeof scratch> => scratch()
  const bundleOf = (): string => file()('ca.pem', pemOf(ca.root))

  test.each<[string, (put: ReturnType<typeof scratch>) => string[], string]>([
    ['a file that is missing', () => ['/nonexistent', '--bundle', bundleOf()], "can't read /nonexistent"],
    ['neither of both', (put) => [put('x', 'hunter2 hunter2'), '--bundle', bundleOf()], 'neither a certificate'],
    ['an API token', (put) => [put('x', `purser_api_${'a'.repeat(43)}`), '--bundle', bundleOf()], 'purser whoami'],
    ['no bundle', (put) => [put('x', pemOf(ca.root)), '--bundle', put('b', '{"keys":[]}')], 'neither a SPIFFE bundle'],
  ])('%s', async (_, argv, words) => {
    const { code, out, err }: CommandResult = await cli(['verify', ...argv(file())])
    expect({ code, out }).toEqual({ code: 2, out: '' })
    expect(err).toContain(words)
    expect(err).not.toMatch(/hunter2|aaaa/)
  })
})
