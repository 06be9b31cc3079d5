/** The CRLs that are requested, and the behaviour when none is available. */
import { X509Certificate, hash } from 'node:crypto'
import { PurserError } from '@purser/sdk'
import { beforeEach, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createRevokedCertificates } from '../../sdk/src/revocation/revoked.ts'
import { buildCrl } from '../../src/issue/crl.ts'
import { type TestCa, ecPair, secondsFrom, testCa } from '../support/test-ca.ts'
import { issue, leafOf } from './workloads.ts'
import type { Request } from '../../sdk/src/connection/http.ts'

/** As in the test CA's issuing certificate. */
const purser = 'http://purser.test'
const start = new Date()
const ca = testCa(start)
const issuing = new X509Certificate(ca.issuing.pem)

const leafBy = (by: TestCa, url = `${purser}/crl/key_issuing`): X509Certificate =>
  leafOf(issue(by, undefined, { crlUrl: url }))
const serialOf = (certificate: X509Certificate): Buffer => Buffer.from(certificate.serialNumber, 'hex')

/** Long enough for a busy machine; a missing event still fails. */
const patience = { timeout: 30_000 }

/** The served CRLs by path; a missing one is 404. */
let served: Record<string, Buffer | PurserError>
let paths: string[]
/** The paths that were answered with 304. */
let notModified: string[]
const tagOf = (der: Buffer): string => `W/"${hash('sha256', der)}"`
let seconds: number
let warnings: string[]

beforeEach(() => {
  paths = []
  notModified = []
  seconds = 0
  served = { '/crl/root': crlOf(ca.root, 1, [], 86_400) }
  warnings = []
})

function crlOf(
  by: TestCa['root'],
  number: number,
  revoked: X509Certificate[],
  lifeSeconds = 300,
  point?: string,
): Buffer {
  const thisUpdate = secondsFrom(start, seconds)
  const entries = revoked.map((certificate) => ({ serial: serialOf(certificate), at: start }))
  return buildCrl({
    issuer: by,
    number: BigInt(number),
    thisUpdate,
    nextUpdate: secondsFrom(thisUpdate, lifeSeconds),
    revoked: entries,
    ...(point !== undefined && { point }),
  }).der
}

function create(roots = ca.root.pem) {
  const controller = new AbortController()
  onTestFinished(() => controller.abort())
  const transport = {
    async exchange({ path, ifNoneMatch }: Request) {
      if (path !== '/crl/root') paths.push(path)
      const answer = served[path]
      if (answer instanceof PurserError) throw answer
      const etag = answer && tagOf(answer)
      if (etag !== undefined && ifNoneMatch === etag) {
        notModified.push(path)
        return { status: 304, headers: { etag }, bytes: Buffer.from(''), text: '' }
      }
      const bytes = answer ?? Buffer.from('')
      return { status: answer ? 200 : 404, headers: etag === undefined ? {} : { etag }, bytes, text: '' }
    },
  }
  const revoked = createRevokedCertificates({
    transport,
    issuer: async () => purser,
    roots: () => roots,
    warn: (warning) => warnings.push(warning),
    closing: controller.signal,
    now: () => secondsFrom(start, seconds).getTime(),
    random: () => 0,
    pollMs: 20,
    maxLists: 64,
  })
  const news = vi.fn()
  revoked.onNews(news)
  return { revoked, news, close: () => controller.abort() }
}

/** A few polls later. */
const polled = async (path = '/crl/key_issuing'): Promise<void> => {
  const before = paths.filter((requested) => requested === path).length
  await vi.waitFor(
    () => expect(paths.filter((requested) => requested === path).length).toBeGreaterThan(before + 1),
    patience,
  )
}

describe('a certificate', () => {
  test('counts as valid until its CRL arrives; open connections are then checked', async () => {
    const leaf = leafBy(ca)
    served['/crl/key_issuing'] = crlOf(ca.issuing, 1, [leaf])
    const { revoked, news } = create()
    expect(revoked.includes([leaf, issuing])).toBe(false)
    await vi.waitFor(() => expect(news).toHaveBeenCalledOnce(), patience)
    expect(revoked.includes([leaf, issuing])).toBe(true)
    expect(revoked.includes([leafBy(ca), issuing])).toBe(false)
    await polled()
    expect(news).toHaveBeenCalledOnce()
  })

  test('that is revoked later is found by the next poll', async () => {
    const leaf = leafBy(ca)
    served['/crl/key_issuing'] = crlOf(ca.issuing, 1, [])
    const { revoked, news } = create()
    revoked.includes([leaf, issuing])
    await polled()
    expect(news).not.toHaveBeenCalled()
    served['/crl/key_issuing'] = crlOf(ca.issuing, 2, [leaf])
    await vi.waitFor(() => expect(news).toHaveBeenCalledOnce(), patience)
    expect(revoked.includes([leaf, issuing])).toBe(true)
  })

  test('whose issuing key was withdrawn is found by the CRL of the root, which is in no chain', async () => {
    served['/crl/root'] = crlOf(ca.root, 1, [issuing])
    const { revoked, news } = create()
    const leaf = leafBy(ca)
    expect(revoked.includes([leaf, issuing])).toBe(false)
    await vi.waitFor(() => expect(news).toHaveBeenCalledOnce(), patience)
    expect(revoked.includes([leaf, issuing])).toBe(true)
  })

  test.each([
    ['elsewhere', 'https://evil.example/crl/key_issuing'],
    ['below another path', `${purser}/other/crl/key_issuing`],
    ['at a host that begins alike', `${purser}.evil.example/crl/key_issuing`],
  ])('whose CRL is %s: no request, and one warning', async (_, url) => {
    const leaf = leafBy(ca, url)
    served['/crl/key_issuing'] = crlOf(ca.issuing, 1, [leaf])
    const { revoked } = create()
    revoked.includes([leaf, issuing])
    await vi.waitFor(() => expect(warnings).toHaveLength(1), patience)
    revoked.includes([leafBy(ca, url), issuing])
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(paths).toEqual([])
    expect(warnings).toEqual([expect.stringContaining(`${url} is not below Purser`)])
  })

  test.each([
    ['no URL of a CRL', `${purser}/ca.pem`],
    ['a path that leads out', `${purser}/crl/../api/v1/keys`],
    ['a query', `${purser}/crl/key?x=/crl/key/x`],
  ])('with %s: no request', async (_, url) => {
    const { revoked } = create()
    expect(revoked.includes([leafBy(ca, url)])).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(paths).toEqual([])
  })

  test('that its chain did not sign: its CRL would belong to another issuer', async () => {
    const other = testCa(start)
    const { revoked } = create()
    expect(revoked.includes([leafBy(ca), new X509Certificate(other.issuing.pem)])).toBe(false)
    await new Promise((resolve) => setTimeout(resolve, 50))
    expect(paths).toEqual([])
  })
})

describe('a shard', () => {
  const url = `${purser}/crl/key_issuing/7`

  test('is fetched where the certificate names it', async () => {
    const leaf = leafBy(ca, url)
    served['/crl/key_issuing/7'] = crlOf(ca.issuing, 1, [leaf], 300, url)
    const { revoked } = create()
    revoked.includes([leaf, issuing])
    await vi.waitFor(() => expect(revoked.includes([leaf, issuing])).toBe(true), patience)
    expect(paths).not.toContain('/crl/key_issuing')
    expect(warnings).toEqual([])
  })

  test.each([
    ['another shard', `${purser}/crl/key_issuing/8`],
    ['the same path at another host', 'https://evil.example/crl/key_issuing/7'],
  ])('that is for %s is rejected: it could omit a revoked certificate', async (_, point) => {
    const leaf = leafBy(ca, url)
    served['/crl/key_issuing/7'] = crlOf(ca.issuing, 1, [], 300, point)
    const { revoked } = create()
    revoked.includes([leaf, issuing])
    await vi.waitFor(() => expect(warnings).toEqual([expect.stringContaining('distribution point')]), patience)
  })

  test('does not replace the whole CRL', async () => {
    const leaf = leafBy(ca)
    served['/crl/key_issuing'] = crlOf(ca.issuing, 1, [], 300, url)
    const { revoked } = create()
    revoked.includes([leaf, issuing])
    await vi.waitFor(() => expect(warnings).toEqual([expect.stringContaining('distribution point')]), patience)
  })

  test.each([['/crl/key_issuing/7/1'], ['/crl/key_issuing/'], ['/crl/key_issuing/abc'], ['/crl/key_issuing/1000']])(
    'is nothing like %s',
    async (path) => {
      const { revoked } = create()
      expect(revoked.includes([leafBy(ca, purser + path)])).toBe(false)
      await new Promise((resolve) => setTimeout(resolve, 50))
      expect(paths).toEqual([])
    },
  )
})

describe('a CRL', () => {
  /** A client with a CRL that names `leaf`. */
  async function createWithCrl() {
    const leaf = leafBy(ca)
    served['/crl/key_issuing'] = crlOf(ca.issuing, 5, [leaf])
    const client = create()
    client.revoked.includes([leaf, issuing])
    await vi.waitFor(() => expect(client.news).toHaveBeenCalled(), patience)
    return { ...client, leaf, isRevoked: () => client.revoked.includes([leaf, issuing]) }
  }

  test('that is unavailable: the last one applies; after its end there is one warning, and it still applies', async () => {
    const { isRevoked } = await createWithCrl()
    served['/crl/key_issuing'] = new PurserError('unreachable', 'away')
    await polled()
    expect(warnings).toEqual([])
    seconds = 301
    await polled()
    await polled()
    expect(warnings).toEqual([expect.stringMatching(/\/crl\/key_issuing .* ended at .* stays in use: away/)])
    expect(isRevoked()).toBe(true)
    served['/crl/key_issuing'] = crlOf(ca.issuing, 6, [])
    await vi.waitFor(() => expect(isRevoked()).toBe(false), patience)
    served['/crl/key_issuing'] = new PurserError('timeout', 'away')
    seconds = 602
    await vi.waitFor(() => expect(warnings).toHaveLength(2), patience)
  })

  test.each([
    [
      'by another key',
      () => crlOf({ ...ca.issuing, signer: testCa(start, { issuingKeys: ecPair() }).issuing.signer }, 9, []),
    ],
    ['of the root', () => crlOf(ca.root, 9, [])],
    ['that is malformed', () => Buffer.from('<html>')],
  ])('%s is rejected, with a warning at once', async (_, make) => {
    const { isRevoked } = await createWithCrl()
    served['/crl/key_issuing'] = make()
    await polled()
    await polled()
    expect(isRevoked()).toBe(true)
    expect(warnings).toEqual([expect.stringContaining('the last one stays in use')])
  })

  test('of a lagging replica removes nothing until the newer one has ended', async () => {
    const { isRevoked } = await createWithCrl()
    served['/crl/key_issuing'] = crlOf(ca.issuing, 4, [], 3600)
    await polled()
    expect(isRevoked()).toBe(true)
    seconds = 301
    await vi.waitFor(() => expect(isRevoked()).toBe(false), patience)
  })

  test('that is unchanged is not sent again, and a newer one is read', async () => {
    const { isRevoked } = await createWithCrl()
    await vi.waitFor(() => expect(notModified).toContain('/crl/key_issuing'), patience)
    expect([isRevoked(), warnings]).toEqual([true, []])
    served['/crl/key_issuing'] = crlOf(ca.issuing, 6, [])
    await vi.waitFor(() => expect(isRevoked()).toBe(false), patience)
  })

  test('that was never available causes a warning, and no certificate counts as revoked', async () => {
    const { revoked } = create()
    expect(revoked.includes([leafBy(ca), issuing])).toBe(false)
    await polled()
    await polled()
    expect(warnings).toEqual([expect.stringContaining('there is no earlier one')])
  })

  test('is not requested after close()', async () => {
    const { close } = await createWithCrl()
    close()
    const before = paths.length
    await new Promise((resolve) => setTimeout(resolve, 100))
    expect(paths).toHaveLength(before)
  })
})

test('of many issuers: the most recently used are cached', async () => {
  const { revoked } = create()
  for (let n = 0; n < 80; n++) revoked.includes([leafBy(ca, `${purser}/crl/key_${n}`), issuing])
  await vi.waitFor(() => expect(new Set(paths).size).toBe(80), patience)
  paths = []
  await vi.waitFor(() => expect(paths.length).toBeGreaterThan(64 * 2), patience)
  // And the root's.
  expect(new Set(paths).size).toBe(63)
  expect(paths).not.toContain('/crl/key_0')
})
