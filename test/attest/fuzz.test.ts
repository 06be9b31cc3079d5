/** Randomly changed tokens cause only refusals, and selectors hold only facts that the issuer signed. */
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { createAttestor } from '../../src/attest/kinds.ts'
import { readReview } from '../../src/attest/token-review.ts'
import { grantOf } from '../../src/authorize/decide.ts'
import { readEntry } from '../../src/authorize/entries.ts'
import { Refusal } from '../../src/errors.ts'
import { pathUnder } from '../../src/names/spiffe-id.ts'
import {
  attestText,
  audience,
  craft,
  issuer,
  jwkOf,
  noNetwork,
  now,
  partsFor,
  plain,
  rs256,
  rsa,
  token,
} from './tokens.ts'

const keys = { jwks: { keys: [jwkOf(rsa.publicKey, { kid: 'r1', alg: 'RS256' })] } }
const common = { issuer, audience, spiffeIdPrefix: '/lab/', keys, maxTokenAgeSeconds: 3600, singleUse: false, otherAudiences: 'allow' } // prettier-ignore
const rowOf = (kind: string, more: Record<string, unknown>) => ({
  id: 'att_1', name: 'lab', kind, spiffeIdPrefix: '/lab/', definition: { name: 'lab', kind, ...common, ...more }, revision: 1,
}) // prettier-ignore
const { parts } = partsFor(noNetwork)
const rows = [
  rowOf('oidc', {}),
  rowOf('oidc', { preset: 'github-actions' }),
  rowOf('oidc', { preset: 'google' }),
  rowOf('oidc', { preset: 'aws' }),
  rowOf('oidc', { preset: 'gitlab-ci' }),
  rowOf('kubernetes', { verify: 'jwks' }),
]
const attestors = rows.map((row) => createAttestor(row, parts))

/** Accepted or refused; any other exception fails the test. */
async function outcome(text: string): Promise<string[]> {
  return Promise.all(
    attestors.map((attestor) =>
      attestText(attestor, text, now).then(
        () => 'accepted',
        (error: unknown) => {
          if (error instanceof Refusal) return error.code
          throw error
        },
      ),
    ),
  )
}

const good = token()
const name = fc.constantFrom('iss', 'aud', 'sub', 'exp', 'iat', 'nbf', 'jti', 'kubernetes.io', 'google', 'email', 'email_verified', 'repository_id', 'run_id', 'https://sts.amazonaws.com/', 'constructor', 'toString', 'a b', '') // prettier-ignore

describe('mutated tokens', () => {
  it('with changed bytes: none is accepted', async () => {
    const change = fc.record({ at: fc.nat(good.length - 1), to: fc.constantFrom(...'AZaz09-_.=+/ \n\0é'.split('')), drop: fc.nat(3) })
    await fc.assert(
      fc.asyncProperty(fc.array(change, { minLength: 1, maxLength: 4 }), async (changes) => {
        let text = good
        for (const { at, to, drop } of changes) text = text.slice(0, at) + to + text.slice(at + drop)
        fc.pre(text !== good)
        expect((await outcome(text)).includes('accepted')).toBe(false)
      }),
      { numRuns: 1500 },
    )
  }) // prettier-ignore

  it('with signed claims of every shape: only refusals are thrown', async () => {
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, fc.jsonValue(), { maxKeys: 6 }), async (claims) => {
        await outcome(craft({ alg: 'RS256', kid: 'r1' }, plain(claims), rs256()))
      }),
      { numRuns: 700 },
    )
  })

  it('with headers and payloads that are any JSON, or any text', async () => {
    const segment = fc.oneof(fc.json(), fc.string(), fc.string({ unit: 'binary' }))
    await fc.assert(
      fc.asyncProperty(segment, segment, async (header, payload) => {
        expect((await outcome(craft(header, payload, rs256()))).includes('accepted')).toBe(false)
      }),
      { numRuns: 700 },
    )
  })
})

it('reviews of every shape are refused, or name their account', () => {
  const shape = fc.record(
    { apiVersion: fc.constant('authentication.k8s.io/v1'), kind: fc.constant('TokenReview'), status: fc.record({ authenticated: fc.jsonValue(), error: fc.jsonValue(), audiences: fc.jsonValue(), user: fc.jsonValue() }, { requiredKeys: [] }) },
    { requiredKeys: [] },
  )
  fc.assert(
    fc.property(fc.oneof(fc.jsonValue(), shape), (answer) => {
      expect(() => readReview(answer, audience)).toThrow(Refusal)
    }),
    { numRuns: 3000 },
  )
}) // prettier-ignore

it('whatever a claim contains, the ID has the attestor’s prefix and the claim is one segment of it', async () => {
  const [oidc] = attestors
  const definition = { name: 'any', attestor: 'lab', match: { 'oidc:team': '*' }, wide: true, spiffeId: 'spiffe://example.org/lab/team/{oidc:team}/x' } // prettier-ignore
  const entry = readEntry({ id: 'wl_1', name: 'any', attestorId: 'att_1', definition, disabled: false, revision: 1 })
  const value = fc.oneof(
    fc.string(),
    fc.string({ unit: 'binary' }),
    fc.constantFrom('..', '.', '../../admin', 'a/b', '%2e%2e', 'a%2fb', '*', '**', '+', '{oidc:sub}', 'a\\b', 'ä', 'ſ', 'a b', ''),
    fc.stringMatching(/^[A-Za-z0-9._-]{1,20}$/),
  )
  let issued = 0
  await fc.assert(
    fc.asyncProperty(value, async (team) => {
      const token = craft({ alg: 'RS256', kid: 'r1' }, plain({ team }), rs256())
      try {
        const attested = oidc && (await attestText(oidc, token, now))
        if (!attested) return
        const { spiffeId } = grantOf(entry, { attestor: attested.attestor, selectors: attested.selectors }, 'example.org')
        issued++
        expect(spiffeId).toBe(`spiffe://example.org/lab/team/${team}/x`)
        expect(pathUnder('/lab/', spiffeId.slice('spiffe://example.org'.length))).toBe(true)
        expect(team).toMatch(/^(?!\.{1,2}$)[A-Za-z0-9._-]+$/)
      } catch (error) {
        if (!(error instanceof Refusal)) throw error
      }
    }),
    { numRuns: 2500 },
  )
  expect(issued).toBeGreaterThan(100)
}) // prettier-ignore
