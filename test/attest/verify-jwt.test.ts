/** Forged and malformed JWTs: each is refused with its true code. */
import { createPublicKey, sign } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { createAttestor } from '../../src/attest/kinds.ts'
import { readProofText } from '../../src/attest/proof-text.ts'
import {
  attestText,
  audience,
  b64,
  codeOf,
  craft,
  ec,
  es256,
  hs256,
  issuer,
  jwkOf,
  noNetwork,
  now,
  partsFor,
  plain,
  rs256,
  rsa,
  seconds,
  token,
} from './tokens.ts'

const jwks = [jwkOf(rsa.publicKey, { kid: 'r1', alg: 'RS256' }), jwkOf(ec.publicKey, { kid: 'e1' })]

function attestorOf(more: Record<string, unknown> = {}, keys: unknown[] = jwks) {
  const definition = {
    name: 'lab',
    kind: 'oidc',
    issuer,
    audience,
    spiffeIdPrefix: '/lab/',
    keys: { jwks: { keys } },
    maxTokenAgeSeconds: 3600,
    singleUse: false,
    otherAudiences: 'refuse',
    ...more,
  }
  const row = { id: 'att_1', name: 'lab', kind: 'oidc', spiffeIdPrefix: '/lab/', definition, revision: 1 }
  return createAttestor(row, partsFor(noNetwork).parts)
}

const judge = (proof: string, more?: Record<string, unknown>) => codeOf(() => attestText(attestorOf(more), proof, now))

it('a valid token yields its facts', async () => {
  const {
    selectors,
    instance,
    expiresAt,
    singleUse: once,
  } = await attestText(
    attestorOf(),
    token({ sub: 'a:b', group: ['x', 'y'], admin: true, age: 5, nothing: null, empty: '' }),
    now,
  )
  expect({ ...selectors }).toEqual({ 'oidc:sub': 'a:b', 'oidc:group': ['x', 'y'], 'oidc:admin': 'true' })
  expect(instance).toEqual(['a:b', 'one'])
  expect(expiresAt).toEqual(new Date((seconds + 300) * 1000))
  expect(once).toBeUndefined()
})

describe('algorithms', () => {
  it.each(['none', 'None', 'NONE', 'nOnE', '', undefined, null, 0, ['RS256']])('alg %j', async (alg) => {
    const header = JSON.stringify({ alg, kid: 'r1' })
    expect(await judge(craft(header, plain(), rs256()))).toBe('proof_algorithm')
    // Without a signature the third part is missing, so it is no compact JWS.
    expect(await judge(`${b64(header)}.${b64(JSON.stringify(plain()))}.`)).toBe('proof_malformed')
  })

  it('HS256 with the public key as its secret, in every spelling', async () => {
    const pem = String(rsa.publicKey.export({ type: 'spki', format: 'pem' }))
    const der = rsa.publicKey.export({ type: 'spki', format: 'der' })
    const pkcs1 = String(rsa.publicKey.export({ type: 'pkcs1', format: 'pem' }))
    for (const secret of [pem, pem.trim(), pkcs1, der, JSON.stringify(jwks[0]), Buffer.alloc(0), String(jwks[0]?.n)]) {
      for (const alg of ['HS256', 'HS384', 'HS512']) {
        expect(await judge(craft({ alg, kid: 'r1' }, plain(), hs256(secret)))).toBe('proof_algorithm')
      }
    }
  })

  it('each key verifies by its own algorithm and no other', async () => {
    const all = ['RS256', 'RS384', 'RS512', 'PS256', 'PS384', 'PS512', 'ES256', 'ES384', 'ES512', 'EdDSA', 'ES256K']
    for (const kid of ['r1', 'e1']) {
      for (const alg of all) {
        const hash = `sha${alg.slice(2, 5)}`.replace(/shaDSA|shadsa/i, 'sha256')
        const key = kid === 'r1' ? rsa.privateKey : ec.privateKey
        const token = craft({ alg, kid }, plain(), (input) =>
          sign(/^sha\d{3}$/.test(hash) ? hash : 'sha256', Buffer.from(input), { key, dsaEncoding: 'ieee-p1363' }),
        )
        const code = await judge(token)
        expect([kid, alg, code === 'accepted']).toEqual([kid, alg, (kid === 'r1' ? 'RS256' : 'ES256') === alg])
      }
    }
  })

  it('an attestor with a list of algorithms accepts only those', async () => {
    expect(await judge(token(), { algorithms: ['ES256'] })).toBe('proof_algorithm')
    expect(await judge(craft({ alg: 'ES256', kid: 'e1' }, plain(), es256()), { algorithms: ['ES256'] })).toBe(
      'accepted',
    )
  })
})

describe('claims', () => {
  it.each([[['https://issuer.example']], 1, {}, null, true, '', undefined])('iss %j', async (iss) => {
    expect(await judge(token({ iss }))).toBe('proof_claims')
  })
  it.each(['https://issuer.example/', 'HTTPS://issuer.example', 'https://issuer.example.evil.example', ' https://issuer.example', 'https://other.example'])(
    'iss %j is another issuer',
    async (iss) => expect(await judge(token({ iss }))).toBe('proof_issuer'),
  )

  it.each([undefined, '', [], [''], {}, null, 1, [1], [null], [[audience]], { 0: audience }])('aud %j', async (aud) => {
    expect(await judge(token({ aud }))).toBe('proof_claims')
  })
  it.each([`${audience}/`, audience.toUpperCase(), [`${audience} `], 'https://other.example'])('aud %j is another audience', async (aud) => {
    expect(await judge(token({ aud }))).toBe('proof_issuer')
  })
  it('further audiences are refused unless the attestor allows them', async () => {
    expect(await judge(token({ aud: [audience, 'other'] }))).toBe('proof_audience')
    expect(await judge(token({ aud: [audience, audience] }))).toBe('proof_audience')
    expect(await judge(token({ aud: ['other', audience] }), { otherAudiences: 'allow' })).toBe('accepted')
    expect(await judge(token({ aud: [audience] }))).toBe('accepted')
    expect(await judge(token({ aud: Array.from({ length: 33 }, () => audience) }), { otherAudiences: 'allow' })).toBe('proof_claims')
  })

  it.each([undefined, null, '1', String(seconds + 300), 1e308, 2 ** 53, 1e12, -1, 0, [seconds + 300], {}, true])('exp %j', async (exp) => {
    expect(['proof_claims', 'proof_malformed']).toContain(await judge(token({ exp })))
  })
  it('an exp that JSON cannot hold', async () => {
    for (const exp of ['NaN', 'Infinity', '1e999', '-1e999', '0x7fffffff']) {
      const payload = JSON.stringify(plain()).replace(/"exp":\d+/, `"exp":${exp}`)
      expect(await judge(craft({ alg: 'RS256', kid: 'r1' }, payload, rs256()))).toBe('proof_malformed')
    }
  })
  it('times apply to the second', async () => {
    expect(await judge(token({ exp: seconds }))).toBe('proof_expired')
    expect(await judge(token({ exp: seconds - 1 }))).toBe('proof_expired')
    expect(await judge(token({ exp: seconds + 1 }))).toBe('accepted')
    expect(await judge(token({ exp: seconds + 8 * 24 * 3600 }))).toBe('proof_claims')
    expect(await judge(token({ iat: undefined }))).toBe('proof_claims')
    expect(await judge(token({ iat: seconds + 61 }))).toBe('proof_not_yet_valid')
    expect(await judge(token({ iat: seconds + 60 }))).toBe('accepted')
    expect(await judge(token({ nbf: seconds + 61 }))).toBe('proof_not_yet_valid')
    expect(await judge(token({ nbf: '1' }))).toBe('proof_claims')
    expect(await judge(token({ iat: seconds - 3600 }))).toBe('accepted')
    expect(await judge(token({ iat: seconds - 3601 }))).toBe('proof_too_old')
    expect(await judge(token({ iat: seconds + 30, exp: seconds + 20 }))).toBe('proof_claims')
  })
  it('an expired token that is also forged is reported as forged', async () => {
    expect(await judge(craft({ alg: 'RS256', kid: 'r1' }, plain({ exp: 5, iat: 4 }), () => Buffer.alloc(256)))).toBe('proof_signature')
  })

  const strange = ['', 'x'.repeat(1025), 'x'.repeat(4097), 'a\0b', 'a\nb', 'a\u202eb', 'repo:*', '*', '/../', 'a/../b', '..', 'a/.', './a', 'a\u2028b', '\ufeff']
  it.each([undefined, null, 1, ['web'], {}, ...strange])('sub %j', async (sub) => {
    expect(await judge(token({ sub }))).toBe('proof_claims')
  })
  it('a lone surrogate', async () => {
    expect(await judge(craft({ alg: 'RS256', kid: 'r1' }, JSON.stringify(plain()).replace('"web"', '"\\ud800"'), rs256()))).toBe('proof_malformed')
  })
  it.each(['a..b', 'repo:o/r:ref:refs/heads/a.b', '...', 'system:serviceaccount:a:b', 'x'.repeat(1024)])('sub %j is accepted', async (sub) => {
    expect(await judge(token({ sub }))).toBe('accepted')
  })

  it.each(['', 1, [], {}, 'x'.repeat(257)])('jti %j', async (jti) => {
    expect(await judge(token({ jti }))).toBe('proof_claims')
  })
  it('a token without jti, when each is single-use', async () => {
    expect(await judge(token({ jti: undefined }), { singleUse: true })).toBe('proof_claims')
    const { singleUse: once } = await attestText(attestorOf({ singleUse: true }), token({ jti: 'X' }), now)
    expect(once).toEqual({ id: 'X', until: new Date((seconds + 300) * 1000) })
  })

  it('claims that are named like members of every object match nothing', async () => {
    for (const name of ['constructor', 'toString', 'hasOwnProperty', 'prototype', '__defineGetter__', 'valueOf']) {
      const { selectors } = await attestText(attestorOf(), token({ [name]: 'admin' }), now)
      expect(Object.getPrototypeOf(selectors)).toBeNull()
      expect({ ...selectors }).toEqual({ 'oidc:sub': 'web', [`oidc:${name}`]: 'admin' })
    }
    const payload = JSON.stringify(plain()).replace('{', '{"__proto__":{"admin":true},')
    expect(await judge(craft({ alg: 'RS256', kid: 'r1' }, payload, rs256()))).toBe('proof_malformed')
    expect(({} as { admin?: boolean }).admin).toBeUndefined()
  })

  it('a claim that no entry can name or no screen can show is no fact', async () => {
    const odd = { 'a b': 'x', 'a{b}': 'x', ['é']: 'x', name: 'a\u202eb', long: 'x'.repeat(1025), many: Array(257).fill('x'), mixed: ['a', 1], ['k'.repeat(252)]: 'x' }
    const { selectors } = await attestText(attestorOf(), token(odd), now)
    expect(Object.keys(selectors)).toEqual(['oidc:sub'])
  })
}) // prettier-ignore

describe('encodings', () => {
  const good = token()
  const [head = '', body = '', signature = ''] = good.split('.')
  const forms: [string, string, string][] = [
    ['10: alg twice', craft('{"alg":"none","alg":"RS256","kid":"r1"}', plain(), rs256()), 'proof_malformed'],
    ['10: sub twice', craft({ alg: 'RS256', kid: 'r1' }, JSON.stringify(plain()).replace('{', '{"sub":"a",'), rs256()), 'proof_malformed'],
    ['10: sub twice, once escaped', craft({ alg: 'RS256', kid: 'r1' }, JSON.stringify(plain()).replace('{', '{"\\u0073ub":"a",'), rs256()), 'proof_malformed'],
    ['11: crit', token({}, { crit: ['b64'] }), 'proof_header'],
    ['11: crit that is empty', token({}, { crit: [] }), 'proof_header'],
    ['11: b64', token({}, { b64: false }), 'proof_header'],
    ['11: zip', token({}, { zip: 'DEF' }), 'proof_header'],
    ['embedded key', token({}, { jwk: jwks[0] }), 'proof_header'],
    ['jku', token({}, { jku: 'https://evil.example' }), 'proof_header'],
    ['x5u', token({}, { x5u: 'https://evil.example' }), 'proof_header'],
    ['x5c', token({}, { x5c: ['AA'] }), 'proof_header'],
    ['x5t is common, and ignored', token({}, { x5t: 'AA', 'x5t#S256': 'AA', typ: 'JWT' }), 'accepted'],
    ['13: kid that is a number', token({}, { kid: 1 }), 'proof_header'],
    ['13: kid that is a path', token({}, { kid: '../../dev/null' }), 'proof_key_unknown'],
    ['13: kid that is SQL', token({}, { kid: "' union select 1 --" }), 'proof_key_unknown'],
    ['13: kid of 12 KiB', token({}, { kid: 'k'.repeat(8_000) }), 'proof_key_unknown'],
    ['14: five parts', `${head}.${body}.${body}.${body}.${signature}`, 'proof_malformed'],
    ['14: four parts', `${good}.`, 'proof_malformed'],
    ['14: two parts', `${head}.${body}`, 'proof_malformed'],
    ['14: JSON serialisation', JSON.stringify({ protected: head, payload: body, signature }), 'proof_malformed'],
    ['14: a token in a token', craft({ alg: 'RS256', kid: 'r1', cty: 'JWT' }, `"${good}"`, rs256()), 'proof_malformed'],
    ['15: 1 MiB', `${head}.${'A'.repeat(1_048_576)}.${signature}`, 'proof_too_large'],
    ['15: 1 MiB of dots', '.'.repeat(1_048_576), 'proof_too_large'],
    ['16,385 characters', 'a'.repeat(16_385), 'proof_too_large'],
    ['nothing', '', 'proof_malformed'],
    ['a space before it', ` ${good}`, 'proof_malformed'],
    ['a line end behind it', `${good}\n`, 'proof_malformed'],
    ['padding', `${head}.${body}.${signature}==`, 'proof_malformed'],
    ['the other alphabet', craft({ alg: 'RS256', kid: 'r1' }, plain({ sub: '~~~???>>>' }), rs256()).replaceAll('-', '+').replaceAll('_', '/'), 'proof_malformed'],
    ['a byte order mark', craft({ alg: 'RS256', kid: 'r1' }, `\ufeff${JSON.stringify(plain())}`, rs256()), 'proof_malformed'],
    ['a list as payload', craft({ alg: 'RS256', kid: 'r1' }, '[]', rs256()), 'proof_malformed'],
    ['null as header', craft('null', plain(), rs256()), 'proof_malformed'],
    ['17 levels', craft({ alg: 'RS256', kid: 'r1' }, plain({ deep: JSON.parse('['.repeat(17) + ']'.repeat(17)) }), rs256()), 'proof_malformed'],
    ['2,000 members', craft({ alg: 'RS256', kid: 'r1' }, plain({ many: Array(2000).fill(1) }), rs256()), 'proof_malformed'],
  ] // prettier-ignore
  it.each(forms)('%s', async (_, proof, code) => {
    expect(await judge(proof)).toBe(code)
  })

  it('other encodings of the same bytes are refused', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const same = alphabet.split('').map((last) => signature.slice(0, -1) + last)
    const others = same.filter((encoding) => encoding !== signature && Buffer.from(encoding, 'base64url').equals(Buffer.from(signature, 'base64url')))
    expect(others.length).toBeGreaterThan(2)
    for (const other of others) expect(await judge(`${head}.${body}.${other}`)).toBe('proof_malformed')
  }) // prettier-ignore

  it('an ECDSA signature (r, n - s) verifies as well, so the text of a token is no key', async () => {
    const token = craft({ alg: 'ES256', kid: 'e1' }, plain(), es256())
    const bytes = Buffer.from(token.split('.')[2] ?? '', 'base64url')
    const order = BigInt('0xffffffff00000000ffffffffffffffffbce6faada7179e84f3b9cac2fc632551')
    const s = (order - BigInt(`0x${bytes.subarray(32).toString('hex')}`)).toString(16).padStart(64, '0')
    const twin = `${token.split('.').slice(0, 2).join('.')}.${Buffer.concat([bytes.subarray(0, 32), Buffer.from(s, 'hex')]).toString('base64url')}`
    const attestor = attestorOf({ singleUse: true })
    const [first, second] = [await attestText(attestor, token, now), await attestText(attestor, twin, now)]
    expect(second.singleUse).toEqual(first.singleUse)
    expect(second.instance).toEqual(first.instance)
  }) // prettier-ignore

  it('signatures that are cut, too long, DER, or zero', async () => {
    const raw = Buffer.from(signature, 'base64url')
    for (const bytes of [raw.subarray(1), Buffer.concat([raw, Buffer.of(0)]), Buffer.alloc(256), Buffer.of(0)]) {
      expect(await judge(`${head}.${body}.${bytes.toString('base64url')}`)).toBe('proof_signature')
    }
    const der = (input: string): Buffer => sign('sha256', Buffer.from(input), ec.privateKey)
    expect(await judge(craft({ alg: 'ES256', kid: 'e1' }, plain(), der))).toBe('proof_signature')
    for (const zero of [Buffer.alloc(64), Buffer.alloc(63), Buffer.alloc(0)]) {
      const token = craft({ alg: 'ES256', kid: 'e1' }, plain(), () => zero)
      expect(['proof_signature', 'proof_malformed']).toContain(await judge(token))
    }
  })

  it('are refused cheaply: 1 MiB of dots, and a token of five parts', () => {
    const before = process.memoryUsage().rss
    for (let n = 0; n < 200; n++) expect(() => readProofText('.'.repeat(1_048_576))).toThrow('proof_too_large')
    expect(process.memoryUsage().rss - before).toBeLessThan(64 * 1_048_576)
  })
})

it('the same kid and sub of another issuer are refused', async () => {
  const other = { ...plain({ iss: 'https://b.example' }) }
  const token = craft({ alg: 'RS256', kid: 'r1' }, other, rs256())
  expect(await judge(token)).toBe('proof_issuer')
  expect(await judge(token, { issuer: 'https://b.example', keys: { jwks: { keys: [jwkOf(createPublicKey(ec.privateKey), { kid: 'r1' })] } } })).toBe('proof_key_unknown')
}) // prettier-ignore
