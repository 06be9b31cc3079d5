/** The trusted roots: those of the bundle, and those of a renewal when they differ. */
import { PurserError } from '@purser/sdk'
import { expect, onTestFinished, test, vi } from 'vitest'
import type { Credentials } from '../../sdk/src/credentials/fetch-credentials.ts'
import { createHeldCredentials } from '../../sdk/src/renewal/held-credentials.ts'
import { createRenewal } from '../../sdk/src/renewal/renewal.ts'
import { createCa, issue } from './workloads.ts'

const [older, newer, newest] = [createCa(), createCa(), createCa()].map(({ root }) => root.pem) as [
  string,
  string,
  string,
]
const x5c = (pem: string): object => ({
  kty: 'EC',
  use: 'x509-svid',
  x5c: [pem.replace(/-----[A-Z ]+-----|\s/g, '')],
})
const both = older + newer

function create() {
  const ca = createCa()
  const state = {
    /** The roots that a replica returns with a certificate. */
    trustBundle: older,
    /** The roots of `GET /bundle`. */
    bundle: [older],
    away: false,
    followed: [] as string[],
  }
  const createCredentials = (): Credentials => ({
    spiffeId: 'spiffe://example.org/lab/web',
    workload: { id: 'w', name: 'web', revision: 1 },
    session: { id: 's', expiresAt: new Date(Date.now() + 3_600_000) },
    jwts: [],
    x509: issue(ca, undefined, { roots: state.trustBundle }),
  })
  const selection = { jwts: [], x509: {} }
  const elapsed = (): number => performance.now()
  const renewal = createRenewal({
    held: createHeldCredentials(
      { selection: selection, renewAt: undefined, now: Date.now, elapsed, random: () => 0 },
      createCredentials(),
    ),
    nextCredentials: async () => ({ credentials: createCredentials(), by: 'certificate' }),
    transport: {
      async exchange() {
        if (state.away) throw new PurserError('unreachable', 'no server')
        const text = JSON.stringify({ keys: state.bundle.map(x5c), spiffe_sequence: state.bundle.length })
        return { status: 200, headers: {}, text, bytes: Buffer.from(text) }
      },
      rest: () => undefined,
      close: () => undefined,
    },
    emitter: { on: () => () => undefined, emit: () => undefined },
    keep: async () => undefined,
    follow: (roots) => void state.followed.push(roots),
    away: undefined,
    closing: new AbortController().signal,
    warn: () => undefined,
    elapsed,
    random: () => 0,
  })
  onTestFinished(() => renewal.close())
  return { state, renewal }
}

test('a renewal by a lagging replica removes no root of the bundle', async () => {
  const { state, renewal } = create()
  state.bundle = [older, newer]
  await renewal.bundles.reread()
  expect(renewal.roots()).toBe(both)
  const listener = vi.fn()
  renewal.onIdentity(() => listener(renewal.roots()))
  await renewal.renewAll()
  await renewal.bundles.reread()
  expect(renewal.roots()).toBe(both)
  expect(listener.mock.calls.flat()).not.toContain(older)
  expect(state.followed.at(-1)).toBe(both)
})

test('nor does it bring back a root that was withdrawn', async () => {
  const { state, renewal } = create()
  state.bundle = [newer]
  await renewal.bundles.reread()
  await renewal.renewAll()
  expect(renewal.roots()).toBe(newer)
})

test('roots that are newer than the known bundle cause a read of the bundle at once', async () => {
  const { state, renewal } = create()
  await renewal.bundles.reread()
  state.trustBundle = older + newest
  state.bundle = [older, newest]
  await renewal.renewAll()
  await vi.waitFor(() => expect(renewal.roots()).toBe(older + newest))
})

test('while the bundle cannot be read, the newest roots apply', async () => {
  const { state, renewal } = create()
  state.bundle = [older, newer]
  await renewal.bundles.reread()
  state.away = true
  await renewal.renewAll()
  await vi.waitFor(() => expect(renewal.roots()).toBe(older))
  state.away = false
  await renewal.bundles.reread()
  expect(renewal.roots()).toBe(both)
  expect(state.followed.at(-1)).toBe(both)
})

test('before any bundle was read, the roots of a renewal apply', async () => {
  const { state, renewal } = create()
  state.away = true
  state.trustBundle = both
  await renewal.renewAll()
  expect(renewal.roots()).toBe(both)
})
