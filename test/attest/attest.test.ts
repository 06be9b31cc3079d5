/** The attestor that a proof selects, and the limits that apply on the way. */
import { createHash } from 'node:crypto'
import { beforeEach, describe, expect, it } from 'vitest'
import { type Attestors, type Presented, createAttestors } from '../../src/attest/attest.ts'
import type { Refusal } from '../../src/errors.ts'
import type { AttestorRow } from '../../src/store/rows.ts'
import type { JoinTokenRow } from '../../src/store/tokens.ts'
import { audience, codeOf, jwkOf, noNetwork, now, partsFor, rsa, token } from './tokens.ts'

const rowOf = (name: string, issuer: string, aud: string, revision = 1): AttestorRow => ({
  id: `att_${name}`,
  name,
  kind: 'oidc',
  issuer,
  audience: aud,
  spiffeIdPrefix: `/${name}/`,
  definition: {
    name,
    kind: 'oidc',
    issuer,
    audience: aud,
    keys: { jwks: { keys: [jwkOf(rsa.publicKey, { kid: 'r1' })] } },
    maxTokenAgeSeconds: 3600,
    singleUse: false,
    otherAudiences: 'allow',
  },
  revision,
})
const join: AttestorRow = { id: 'att_join', name: 'join', kind: 'join-token', spiffeIdPrefix: '/join/', definition: {}, revision: 1 } // prettier-ignore
const knownAttestors = (...rows: AttestorRow[]) => ({ attestors: new Map([...rows, join].map((row) => [row.id, row])) })

const lab = rowOf('lab', 'https://issuer.example', audience)
const twin = rowOf('twin', 'https://issuer.example', 'purser')
const other = rowOf('other', 'https://other.example', audience)

let events: string[]
let allowed: boolean
let joinTokens: Map<string, JoinTokenRow>
let attestors: Attestors
beforeEach(() => {
  events = []
  allowed = true
  joinTokens = new Map()
  attestors = createAttestors({
    ...partsFor(noNetwork).parts,
    audiences: [audience],
    limits: {
      admitProof: ({ attestor, address }) => {
        events.push(`take ${attestor} ${address}`)
        const settle = (outcome: string) => void events.push(`${outcome} ${attestor} ${address}`)
        return allowed ? { ok: true, settle } : { ok: false, retryAfterSeconds: 7 }
      },
    },
    findJoinToken: async (hash) => joinTokens.get(hash.toString('hex')),
    onLimited: () => void events.push('limited'),
    onJudged: (kind, outcome) => void events.push(`${kind} ${outcome}`),
  })
})

const present = (overrides: Partial<Presented> & { token?: string } = {}): Presented => ({
  proof: { kind: 'jwt', token: overrides.token ?? token() },
  address: '10.0.0.1',
  ...overrides,
})
const judge = (presented: Presented, ...rows: AttestorRow[]) =>
  codeOf(() => attestors.attest(knownAttestors(...rows), presented, now))

describe('the attestor', () => {
  it('is selected by issuer and audience', async () => {
    const { attestor } = await attestors.attest(knownAttestors(other, twin, lab), present(), now)
    expect(attestor.name).toBe('lab')
    expect(events).toEqual(['take lab 10.0.0.1', 'proven lab 10.0.0.1', 'oidc granted'])
  })
  it('is missing for another issuer or audience, which consumes no limit', async () => {
    expect(await judge(present({ token: token({ iss: 'https://x.example' }) }), lab)).toBe('proof_issuer')
    expect(await judge(present({ token: token({ aud: 'https://x.example' }) }), lab)).toBe('proof_issuer')
    expect(await judge(present(), other)).toBe('proof_issuer')
    expect(await judge(present({ token: 'x' }), lab)).toBe('proof_malformed')
    expect(events).toEqual([])
  })
  it('named by the caller must be the one that the proof selects; unknown ones are refused alike', async () => {
    expect(await judge(present({ attestor: 'lab' }), lab, other)).toBe('accepted')
    for (const name of ['other', 'nobody', 'join', 'constructor', '']) {
      expect(await judge(present({ attestor: name }), lab, other)).toBe('attestor_unknown')
    }
  })
  it('is named by the caller when a token has the audiences of two', async () => {
    const both = token({ aud: [audience, 'purser'] })
    expect(await judge(present({ token: both }), lab, twin)).toBe('proof_issuer')
    for (const name of ['lab', 'twin']) {
      const { attestor } = await attestors.attest(
        knownAttestors(lab, twin),
        present({ token: both, attestor: name }),
        now,
      )
      expect(attestor.name).toBe(name)
    }
  })
  it('is unreachable for an issuer that shares only a part of the pair', async () => {
    const odd = rowOf('odd', 'https://issuer.example","https://purser', 'x')
    expect(await judge(present({ token: token({ iss: 'https://issuer.example' }) }), odd)).toBe('proof_issuer')
  })
  it('is created again when its row changes', async () => {
    const strict = { ...lab, revision: 2, definition: { ...lab.definition, algorithms: ['ES256'] } }
    expect(await judge(present(), lab)).toBe('accepted')
    expect(await judge(present(), strict)).toBe('proof_algorithm')
  })
  it('is missing for a client certificate, which is no proof of an orchestrator', async () => {
    expect(await judge({ proof: { kind: 'x509' } }, lab)).toBe('client_certificate')
  })
})

describe('limits', () => {
  it('apply before the proof is verified', async () => {
    allowed = false
    const refusal = await attestors.attest(knownAttestors(lab), present(), now).then(() => undefined, (error: Refusal) => error) // prettier-ignore
    expect(refusal?.code).toBe('rate_limited')
    expect(refusal?.info).toMatchObject({ attestor: 'lab', retryAfterSeconds: 7 })
    expect(events).toEqual(['take lab 10.0.0.1', 'limited'])
  })
  it('are informed of a refused proof', async () => {
    const refusal = await attestors.attest(knownAttestors(lab), present({ token: token({ sub: '' }) }), now).then(() => undefined, (error: Refusal) => error) // prettier-ignore
    expect(refusal?.info).toMatchObject({ attestor: 'lab', explanation: { claim: 'sub' } })
    expect(events).toEqual(['take lab 10.0.0.1', 'failed lab 10.0.0.1', 'oidc refused'])
  })
  it('do not apply when an operator explains a proof', async () => {
    await attestors.attest(knownAttestors(lab), { proof: { kind: 'jwt', token: token() } }, now)
    expect(events).toEqual(['oidc granted'])
  })
})

describe('join tokens', () => {
  const text = `purser_join_${Buffer.alloc(32, 7).toString('base64url')}`
  const hash = createHash('sha256').update(text).digest('hex')
  const row = { id: 'tok_1', workloadId: 'wl_1', expiresAt: new Date(now.getTime() + 1000) }
  const joining = (value = text, attestor?: string): Presented => ({
    proof: { kind: 'join-token', token: value },
    address: '10.0.0.1',
    ...(attestor !== undefined && { attestor }),
  })

  it('select the built-in attestor and one entry', async () => {
    joinTokens.set(hash, row)
    const attested = await attestors.attest(knownAttestors(lab), joining(), now)
    expect(attested).toMatchObject({ attestor: join, instance: ['join', 'tok_1'], joinToken: row })
    expect({ ...attested.selectors }).toEqual({ 'join:token': 'tok_1' })
    expect(attested.expiresAt).toBeUndefined()
    expect(events).toEqual(['take join 10.0.0.1', 'proven join 10.0.0.1', 'join-token granted'])
  })
  it('that are unknown, expired, cut, too long, or of another kind or spelling are refused alike', async () => {
    joinTokens.set(hash, row)
    const spellings = ['', text.slice(0, -1), `${text}A`, text.toUpperCase(), text.replace('join', 'api'), ` ${text}`, `${text}\n`, text.slice(0, -1) + 'd'] // prettier-ignore
    for (const value of spellings) {
      joinTokens.set(createHash('sha256').update(value).digest('hex'), row)
      expect(await judge(joining(value), lab)).toBe('join_token')
    }
    joinTokens.set(hash, { ...row, expiresAt: now })
    expect(await judge(joining(), lab)).toBe('join_token')
    joinTokens.clear()
    expect(await judge(joining(), lab)).toBe('join_token')
  })
  it('select no other attestor', async () => {
    joinTokens.set(hash, row)
    expect(await judge(joining(text, 'join'), lab)).toBe('accepted')
    expect(await judge(joining(text, 'lab'), lab)).toBe('attestor_unknown')
  })
})
