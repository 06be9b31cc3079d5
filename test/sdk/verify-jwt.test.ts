/** Tokens that must not pass, each wrong in one respect and truly signed, and those that must. */
import { createHmac, generateKeyPairSync, sign } from 'node:crypto'
import { describe, expect, test } from 'vitest'
import { PurserError, type VerifyJwtOptions } from '@purser/sdk'
import { failing } from './failing.ts'
import { bundleOf, createVerifier, good, header, jwk, pairs, segment, signed, start, token } from './signed-tokens.ts'

const payments = { audience: 'payments' }

/** Returns the check that refused the token, and expects no part of the token in the message. */
async function refusedBy(token: string, options = payments): Promise<string> {
  const verifier = createVerifier()
  const error = await failing(verifier.verifyJwt(token, options))
  expect(error.code).toBe('bad_token')
  for (const part of token.split('.').filter((part) => part.length > 8)) expect(error.message).not.toContain(part)
  return /^the token is refused \((\w+)\): /.exec(error.message)?.[1] ?? error.message
}

describe('a valid token', () => {
  test.each([
    ['as Purser writes it', {}, {}],
    ['without typ', {}, { typ: undefined }],
    ['of typ JOSE', {}, { typ: 'JOSE' }],
    ['with its audience as text', { aud: 'payments' }, {}],
    ['for several', { aud: ['ledger', 'payments'] }, {}],
    ['without nbf', { nbf: undefined }, {}],
    ['with claims of its own', { team: { name: 'shop', tags: ['a'] } }, {}],
  ])('%s', async (_, claims, more) => {
    const verified = await createVerifier().verifyJwt(token(claims, more), payments)
    expect(verified).toMatchObject({
      spiffeId: 'spiffe://example.org/lab/web',
      jti: good.jti,
      expiresAt: new Date((start + 300) * 1000),
      issuedAt: new Date(start * 1000),
    })
    expect(verified.audience).toContain('payments')
    expect(verified.claims).toEqual(JSON.parse(JSON.stringify({ ...good, ...claims })))
  })

  test('under an RSA key', async () => {
    const rsa = signed({ ...header, alg: 'RS256', kid: 'r1' }, good, pairs.rsa.privateKey)
    expect(await createVerifier().verifyJwt(rsa, payments)).toMatchObject({ spiffeId: good.sub })
  })

  test('for a service with several names, one of which is named', async () => {
    const { verifyJwt } = createVerifier()
    expect(await verifyJwt(token(), { audience: ['ledger', 'payments'] })).toMatchObject({ spiffeId: good.sub })
    expect(await refusedBy(token(), { audience: 'payment' })).toBe('aud')
  })

  test('claims inherit nothing, and callers cannot change them for others', async () => {
    const { verifyJwt } = createVerifier()
    const text = token({ inner: { list: [{}] } })
    const { claims, audience } = await verifyJwt(text, payments)
    expect(['constructor', 'toString', 'hasOwnProperty', '__proto__'].filter((name) => name in claims)).toEqual([])
    expect(() => Object.assign(claims, { sub: 'x' })).toThrow(TypeError)
    expect(() => Object.assign(claims.inner as object, { x: 1 })).toThrow(TypeError)
    Object.assign(audience, { 0: 'x' })
    expect(await verifyJwt(text, payments)).toMatchObject({ audience: ['payments'] })
  })
})

describe('the form', () => {
  const whole = token()
  const [head = '', body = '', tail = ''] = whole.split('.')
  test.each([
    ['nothing', ''],
    ['two parts', `${head}.${body}`],
    ['five parts, as a JWE', `${whole}.${body}.${tail}`],
    ['no signature', `${head}.${body}.`],
    ['JSON serialization', JSON.stringify({ protected: head, payload: body, signature: tail })],
    ['a line break after it', `${whole}\n`],
    ['a space in it', `${head} .${body}.${tail}`],
    ['padding', `${whole}==`],
    ['the other alphabet', whole.replace(/.$/, '+')],
    ['too many characters', `${head}.${body}.${'A'.repeat(16_384)}`],
    ['a megabyte of dots', '.'.repeat(1024 * 1024)],
  ])('%s', async (_, text) => {
    expect(await refusedBy(text)).toBe('form')
  })

  test('must be text', async () => {
    for (const input of [undefined, null, 5, {}, [whole], Buffer.from(whole)]) {
      expect((await failing(createVerifier().verifyJwt(input as string, payments))).message).toContain('(form)')
    }
  })

  test('has one encoding: other base64url tails for the same bytes are refused', async () => {
    const alphabet = 'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_'
    const same = alphabet
      .split('')
      .filter((last) => Buffer.from(tail.slice(0, -1) + last, 'base64url').equals(Buffer.from(tail, 'base64url')))
    expect(same.length).toBe(16)
    for (const last of same.filter((character) => !tail.endsWith(character))) {
      expect(await refusedBy(`${head}.${body}.${tail.slice(0, -1)}${last}`)).toBe('form')
    }
  })
})

describe('the header', () => {
  test.each([
    ['jwk', { jwk: jwk(pairs.stranger, 'e1') }],
    ['jku', { jku: 'https://evil.example' }],
    ['x5u', { x5u: 'https://evil.example' }],
    ['x5c', { x5c: [] }],
    ['crit', { crit: ['b64'], b64: false }],
    ['zip', { zip: 'DEF' }],
    ['cty', { cty: 'JWT' }],
    ['another typ', { typ: 'at+jwt' }],
    ['typ in small letters', { typ: 'jwt' }],
    ['typ null', { typ: null }],
  ])('%s', async (_, more) => {
    expect(await refusedBy(token({}, more))).toBe('header')
  })

  test.each([
    ['no JSON', 'x'],
    ['a list', '[]'],
    ['a name twice', '{"alg":"none","alg":"ES256","kid":"e1"}'],
    ['a name twice, written in two ways', '{"alg":"ES256","kid":"x","\\u006bid":"e1"}'],
    ['__proto__', '{"alg":"ES256","kid":"e1","__proto__":{}}'],
    ['a byte order mark', '\ufeff{"alg":"ES256","kid":"e1"}'],
  ])('%s', async (_, text) => {
    expect(await refusedBy(signed(text, good))).toBe('header')
  })

  test.each([['none'], ['None'], ['NONE'], ['ES384'], ['PS256'], ['RS256'], ['HS256'], ['es256'], ['']])(
    'alg %j differs from that of the key',
    async (alg) => {
      expect(await refusedBy(token({}, { alg }))).toBe('alg')
    },
  )

  test.each([[undefined], [null], [['ES256']]])('alg %j', async (alg) => {
    expect(await refusedBy(token({}, { alg }))).toBe('alg')
  })

  test.each([[undefined], [''], [1], [null], [['e1']]])('kid %j', async (kid) => {
    expect(await refusedBy(token({}, { kid }))).toBe('kid')
  })
})

describe('the signature', () => {
  const text = `${segment(header)}.${segment(good)}`
  const pem = pairs.ec.publicKey.export({ type: 'spki', format: 'pem' })
  const bytes = (buffer: Buffer): string => `${text}.${buffer.toString('base64url')}`
  const options = (key = pairs.ec.privateKey) => ({ key, dsaEncoding: 'ieee-p1363' }) as const

  test.each([
    ['of another key', signed(header, good, pairs.stranger.privateKey)],
    ['of an RSA key', signed(header, good, pairs.rsa.privateKey)],
    ['in ASN.1', bytes(sign('sha256', Buffer.from(text), pairs.ec.privateKey))],
    ['over another hash', bytes(sign('sha512', Buffer.from(text), options()))],
    ['over other claims', bytes(sign('sha256', Buffer.from(`${text}x`), options()))],
    ['all zeros (CVE-2022-21449)', bytes(Buffer.alloc(64))],
    ['of one byte', bytes(Buffer.alloc(1))],
    ['of HMAC under the public key', bytes(createHmac('sha256', pem).update(text).digest())],
  ])('%s', async (_, forgery) => {
    expect(await refusedBy(forgery)).toBe('signature')
  })

  test('an expired token of another issuer is reported as a forgery', async () => {
    expect(await refusedBy(signed(header, { ...good, exp: 5, iat: 1 }, pairs.stranger.privateKey))).toBe('signature')
  })

  test('a verified token does not vouch for another signature under the same claims', async () => {
    const { verifyJwt } = createVerifier()
    await verifyJwt(token(), payments)
    for (const forgery of [`${text}.${segment('x'.repeat(64))}`, signed(header, good, pairs.stranger.privateKey)]) {
      expect((await failing(verifyJwt(forgery, payments))).message).toContain('(signature)')
    }
  })
})

describe('the claims', () => {
  test.each([
    ['sub', { sub: undefined }],
    ['sub', { sub: '' }],
    ['sub', { sub: ['spiffe://example.org/lab/web'] }],
    ['sub', { sub: 'web' }],
    ['sub', { sub: 'spiffe://example.org' }],
    ['sub', { sub: 'spiffe://example.org/' }],
    ['sub', { sub: 'spiffe://evil.example/lab/web' }],
    ['sub', { sub: 'spiffe://example.org.evil.example/lab/web' }],
    ['sub', { sub: 'spiffe://EXAMPLE.org/lab/web' }],
    ['sub', { sub: 'SPIFFE://example.org/lab/web' }],
    ['sub', { sub: 'spiffe://example.org/lab/../web' }],
    ['sub', { sub: 'spiffe://example.org/lab/%77eb' }],
    ['sub', { sub: 'spiffe://example.org/lab//web' }],
    ['sub', { sub: 'spiffe://example.org/lab/web/' }],
    ['sub', { sub: 'spiffe://example.org/lab/web\n' }],
    ['sub', { sub: 'spiffe://example.org/lab/w\u212ab' }],
    ['sub', { sub: 'spiffe://user@example.org/lab/web' }],
    ['sub', { sub: 'spiffe://example.org:443/lab/web' }],
    ['sub', { sub: 'spiffe://example.org/lab/web?x' }],
    ['sub', { sub: `spiffe://example.org/${'a'.repeat(2048)}` }],
    ['aud', { aud: undefined }],
    ['aud', { aud: '' }],
    ['aud', { aud: [] }],
    ['aud', { aud: [''] }],
    ['aud', { aud: ['payments', 1] }],
    ['aud', { aud: { payments: true } }],
    ['aud', { aud: null }],
    ['aud', { aud: 'Payments' }],
    ['aud', { aud: ['ledger'] }],
    ['aud', { aud: 'payments ledger' }],
    ['exp', { exp: undefined }],
    ['exp', { exp: null }],
    ['exp', { exp: String(good.exp) }],
    ['exp', { exp: good.exp + 0.5 }],
    ['exp', { exp: -1 }],
    ['exp', { exp: 0 }],
    ['exp', { iat: start - 300, nbf: undefined, exp: start }],
    ['iat', { iat: undefined }],
    ['iat', { iat: String(start) }],
    ['iat', { iat: start + 300 }],
    ['iat', { iat: start + 30, nbf: undefined }],
    ['iat', { exp: Number.MAX_SAFE_INTEGER }],
    ['nbf', { nbf: 'soon' }],
    ['nbf', { nbf: null }],
    ['nbf', { nbf: start + 30 }],
    ['jti', { jti: undefined }],
    ['jti', { jti: '' }],
    ['jti', { jti: 5 }],
    ['claims', { large: 2 ** 53 }],
  ])('%s: %j', async (check, claims) => {
    expect(await refusedBy(token(claims))).toBe(check)
  })

  const ours = JSON.stringify(good).slice(1)
  test.each([
    ['no JSON', 'x'],
    ['a list', `[${JSON.stringify(good)}]`],
    ['text', '"x"'],
    ['null', 'null'],
    ['sub twice', `{"sub":"spiffe://example.org/lab/admin",${ours}`],
    ['sub twice, once escaped', `{"s\\u0075b":"spiffe://example.org/lab/admin",${ours}`],
    ['a name twice inside', `{"x":{"a":1,"a":1},${ours}`],
    ['__proto__', `{"__proto__":{"admin":true},${ours}`],
    ['1e999', `{"x":1e999,${ours}`],
    ['exp 1e308', JSON.stringify(good).replace(String(good.exp), '1e308')],
    ['a lone surrogate', `{"x":"\\ud800",${ours}`],
    ['seventeen levels', `{"x":${'['.repeat(16)}${']'.repeat(16)},${ours}`],
    ['a comma too many', `${JSON.stringify(good).slice(0, -1)},}`],
  ])('that are %s', async (_, text) => {
    expect(await refusedBy(signed(header, text))).toBe('claims')
  })

  test('that are not UTF-8', async () => {
    const bytes = Buffer.from(JSON.stringify({ ...good, x: 'é' }), 'latin1')
    const text = `${segment(header)}.${bytes.toString('base64url')}`
    const key = { key: pairs.ec.privateKey, dsaEncoding: 'ieee-p1363' } as const
    const forgery = `${text}.${sign('sha256', Buffer.from(text), key).toString('base64url')}`
    expect(await refusedBy(forgery)).toBe('claims')
  })

  test('apply until their end plus ten seconds of clock difference', async () => {
    const verifier = createVerifier()
    const text = token()
    for (const seconds of [start - 10, start, start + 299, start + 309]) {
      verifier.seconds = seconds
      expect(await verifier.verifyJwt(text, payments)).toBeDefined()
    }
    verifier.seconds = start + 310
    expect((await failing(verifier.verifyJwt(text, payments))).message).toContain('(exp)')
    verifier.seconds = start - 11
    expect((await failing(verifier.verifyJwt(text, payments))).message).toContain('(iat)')
  })

  test('a verified token stays bound to its audience', async () => {
    const { verifyJwt } = createVerifier()
    await verifyJwt(token(), payments)
    expect((await failing(verifyJwt(token(), { audience: 'ledger' }))).message).toContain('(aud)')
  })
})

test.each([[undefined], [''], [[]], [['']], [['payments', '']], [[undefined]], [null], [{}]])(
  'the audience %j is invalid: no token is accepted by default',
  async (audience) => {
    const error = await failing(createVerifier().verifyJwt(token(), { audience: audience as string }))
    expect(error.code).toBe('bad_options')
  },
)

describe('accept', () => {
  test.each([
    ['spiffe://example.org/lab/web', true],
    ['spiffe://example.org/lab/*', true],
    ['spiffe://example.org/*', true],
    [['spiffe://example.org/x', 'spiffe://example.org/lab/web'], true],
    [(id: string) => id.endsWith('/web'), true],
    ['spiffe://example.org/lab/we', false],
    ['spiffe://example.org/lab/web/*', false],
    ['spiffe://example.org/la/*', false],
    [[], false],
    [() => false, false],
    [() => Promise.resolve(true) as unknown as boolean, false],
    [() => expect.fail('on purpose'), false],
  ])('%j: %j', async (accept, passes) => {
    const work = createVerifier().verifyJwt(token(), { ...payments, accept })
    if (passes) expect(await work).toMatchObject({ spiffeId: good.sub })
    else expect((await failing(work)).code).toBe('bad_peer')
  })

  test.each([['*'], ['web'], ['spiffe://example.org/lab*'], ['https://example.org/lab/web'], [[5]]])(
    '%j is ambiguous',
    async (accept) => {
      const work = createVerifier().verifyJwt(token(), { ...payments, accept: accept as string })
      expect((await failing(work)).code).toBe('bad_options')
    },
  )
})

describe('keys', () => {
  const next = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const ofNext = signed({ ...header, kid: 'e2' }, good, next.privateKey)

  test('an unknown key is requested once, and then known', async () => {
    const verifier = createVerifier()
    verifier.next = bundleOf([jwk(pairs.ec, 'e1'), jwk(next, 'e2')])
    expect(await verifier.verifyJwt(ofNext, payments)).toMatchObject({ spiffeId: good.sub })
    expect(await verifier.verifyJwt(ofNext, payments)).toMatchObject({ spiffeId: good.sub })
    expect(verifier.refreshes).toBe(1)
  })

  test('an unknown key is refused', async () => {
    const verifier = createVerifier()
    expect((await failing(verifier.verifyJwt(ofNext, payments))).message).toContain('(kid)')
    expect(verifier.refreshes).toBe(1)
  })

  test('a key that may exist, during an outage: not the caller’s fault', async () => {
    const verifier = createVerifier()
    verifier.next = new PurserError('unreachable', 'away')
    expect((await failing(verifier.verifyJwt(ofNext, payments))).code).toBe('unreachable')
  })

  test('a withdrawn key also invalidates tokens that were verified before', async () => {
    const verifier = createVerifier()
    await verifier.verifyJwt(token(), payments)
    verifier.bundle = bundleOf([jwk(pairs.rsa, 'r1')])
    expect((await failing(verifier.verifyJwt(token(), payments))).message).toContain('(kid)')
    verifier.bundle = bundleOf([jwk(pairs.stranger, 'e1')])
    expect((await failing(verifier.verifyJwt(token(), payments))).message).toContain('(signature)')
  })

  test('a refreshed bundle keeps verified tokens', async () => {
    const verifier = createVerifier()
    const text = token()
    await verifier.verifyJwt(text, payments)
    verifier.bundle = bundleOf([jwk(pairs.ec, 'e1')])
    expect(await verifier.verifyJwt(text, payments)).toMatchObject({ spiffeId: good.sub })
  })

  test.each([
    ['private members', { d: 'AAAA' }],
    ['another algorithm', { alg: 'ES384' }],
    ['another use', { use: 'sig' }],
  ])('with %s are ignored', async (_, more) => {
    const verifier = createVerifier()
    verifier.bundle = bundleOf([jwk(pairs.ec, 'e1', more)])
    expect((await failing(verifier.verifyJwt(token(), payments))).message).toContain('(kid)')
  })
})

// Each of these would accept the whole trust domain or a revoked token, by mistake.
test.each([
  [{ accepts: 'spiffe://example.org/lab/web' }],
  [{ accept: undefined }],
  [{ revocations: 'require' }],
  [{ maxAgeSeconds: 0 }],
])('the options %j are refused before the token is read', async (options) => {
  const { verifyJwt } = createVerifier()
  const error = await failing(verifyJwt(token(), { audience: 'payments', ...options } as VerifyJwtOptions))
  expect([error.code, error.message]).toEqual([
    'bad_options',
    expect.stringContaining(Object.keys(options)[0] ?? '') as string,
  ])
})
