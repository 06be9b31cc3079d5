import { type KeyObject, generateKeyPairSync } from 'node:crypto'
import { Client } from 'pg'
import { SignJWT, decodeJwt, decodeProtectedHeader } from 'jose'
import { afterAll, beforeAll, describe, expect, inject, it } from 'vitest'
import { createClock } from '../support/clock.ts'
import { type IssuedCredentials, type Lab, createLab } from '../support/lab.ts'
import { type Ask, createAsk, fault } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

const inactive = { active: false }

describe.each(frontDoorStores)('POST /api/v1/introspect (%s)', (store) => {
  const clock = createClock()
  let purser: TestPurser
  let ask: Ask
  let lab: Lab
  let credentials: IssuedCredentials

  beforeAll(async () => {
    purser = await startPurser({ store, now: clock.now })
    ask = createAsk(purser)
    lab = await createLab(purser, clock)
    credentials = await lab.get()
  })
  afterAll(() => purser.stop())

  const introspect = async (token: string): Promise<Record<string, unknown>> => {
    const answer = await ask('introspectToken', { body: { token } })
    expect(fault(answer)).toBe('200 ')
    return answer.body
  }
  /** The same JWT, signed with another key. */
  const forged = (key: KeyObject | Uint8Array, header = {}, claims = {}) =>
    new SignJWT({ ...decodeJwt(credentials.jwt), ...claims })
      .setProtectedHeader({ alg: 'ES256', kid: credentials.kid, typ: 'JWT', ...header })
      .sign(key)

  it('requires a credential and exactly one token in its body', async () => {
    const anonymous = await purser.call('POST', '/api/v1/introspect', { token: credentials.jwt })
    expect(fault(anonymous)).toBe('401 unauthenticated')
    expect(fault(await ask('introspectToken', { body: {} }))).toBe('400 invalid_request /token')
    expect(fault(await ask('introspectToken', { body: { token: credentials.jwt, hint: 'x' } }))).toBe(
      '400 invalid_request /hint',
    )
    expect(fault(await ask('introspectToken', { body: { token: 'x'.repeat(16_385) } }))).toBe(
      '400 invalid_request /token',
    )
  })

  it('has one reply for everything that is not a live token of Purser', async () => {
    const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    const [header = '', payload = '', signature = ''] = credentials.jwt.split('.')
    const noneHeader = Buffer.from('{"alg":"none","kid":"x"}').toString('base64url')
    for (const token of [
      'x',
      '..',
      purser.admin,
      `purser_at_${'A'.repeat(43)}`,
      credentials.accessToken.slice(0, -1),
      `${credentials.accessToken}A`,
      credentials.accessToken.toUpperCase(),
      await forged(privateKey),
      await forged(privateKey, { kid: 'nobody' }),
      `${noneHeader}.${payload}.`,
      `${noneHeader}.${payload}.${signature}`,
      `${header}.${Buffer.from(JSON.stringify({ ...decodeJwt(credentials.jwt), sub: 'spiffe://example.org/lab/other' })).toString('base64url')}.${signature}`,
      `${header}.${payload}.${signature}=`,
      `${credentials.jwt}.${signature}`,
      await lab.issuer.token(),
    ]) {
      expect(await introspect(token), token).toEqual(inactive)
    }
  })

  it('accepts only published keys, whatever the algorithm of the token', async () => {
    const secret = new TextEncoder().encode(JSON.stringify((await purser.call('GET', '/keys')).body))
    expect(await introspect(await forged(secret, { alg: 'HS256' }))).toEqual(inactive)
    const rsa = generateKeyPairSync('rsa', { modulusLength: 2048 })
    expect(await introspect(await forged(rsa.privateKey, { alg: 'RS256' }))).toEqual(inactive)
  })

  it('shows a live JWT-SVID with its claims', async () => {
    const claims = decodeJwt(credentials.jwt)
    expect(await introspect(credentials.jwt)).toEqual({
      active: true,
      token_type: 'jwt-svid',
      iss: 'https://purser.example.org',
      sub: 'spiffe://example.org/lab/web',
      aud: ['payments'],
      exp: claims.exp,
      iat: claims.iat,
      nbf: claims.nbf,
      jti: credentials.jti,
      session: credentials.session,
      workload: 'web',
    })
  })

  it('shows a live RS256 JWT', async () => {
    const { jwt } = await lab.get({}, { jwts: [{ audience: ['cloud'] }] })
    expect(decodeProtectedHeader(jwt).alg).toBe('RS256')
    expect(await introspect(jwt)).toMatchObject({ active: true, aud: ['cloud'] })
  })

  it('shows a live access token without anything that the caller could use', async () => {
    expect(await introspect(credentials.accessToken)).toEqual({
      active: true,
      token_type: 'access_token',
      iss: 'https://purser.example.org',
      sub: 'spiffe://example.org/lab/web',
      exp: clock.seconds() + 3600,
      session: credentials.session,
      workload: 'web',
    })
  })

  it('answers workloads about foreign tokens, and OAuth clients that send a form', async () => {
    const other = await lab.get()
    const form = new URLSearchParams({ token: credentials.jwt, token_type_hint: 'access_token' })
    const send = (raw: string, type = 'application/x-www-form-urlencoded') =>
      purser.call('POST', '/api/v1/introspect', undefined, {
        raw,
        token: other.accessToken,
        headers: { 'content-type': type },
      })
    expect((await send(form.toString())).body).toMatchObject({ active: true, jti: credentials.jti })
    expect((await send(form.toString(), 'application/x-www-form-urlencoded; charset=UTF-8')).status).toBe(200)
    expect(fault(await send(`${form.toString()}&token=x`))).toBe('400 invalid_request ')
    expect(fault(await send('token_type_hint=x'))).toBe('400 invalid_request /token')
    expect(fault(await send(form.toString(), 'text/plain'))).toBe('415 unsupported_media_type')
    expect(fault(await send(form.toString(), 'application/x-www-form-urlencoded; charset=latin1'))).toBe(
      '415 unsupported_media_type',
    )
  })

  it('is the only route that accepts a form', async () => {
    const answer = await purser.call('POST', '/api/v1/revocations', undefined, {
      raw: `jti=${credentials.jti}`,
      token: purser.admin,
      headers: { 'content-type': 'application/x-www-form-urlencoded' },
    })
    expect(fault(answer)).toBe('415 unsupported_media_type')
  })

  it('reports a token as inactive after its session ended or its entry was disabled', async () => {
    const credentialsOfEnded = await lab.get({ jti: 'leaves' })
    await purser.call('DELETE', '/api/v1/credentials/self', undefined, { token: credentialsOfEnded.accessToken })
    expect(await introspect(credentialsOfEnded.jwt)).toEqual(inactive)
    expect(await introspect(credentialsOfEnded.accessToken)).toEqual(inactive)
    await purser.asAdmin('POST', '/api/v1/workloads/web:disable', {})
    expect(await introspect(credentials.jwt)).toEqual(inactive)
    await purser.asAdmin('POST', '/api/v1/workloads/web:enable', {})
    expect(await introspect(credentials.jwt)).toMatchObject({ active: true })
  })

  it('reports a token as inactive that a key of Purser signed but the log does not have', async () => {
    await purser.knex.raw('alter table log_entry disable trigger user')
    const hidden = await lab.get({ jti: 'unrecorded' })
    expect(await introspect(hidden.jwt)).toMatchObject({ active: true })
    await purser.knex.raw(`update log_entry set terms = '{}' where body like ?`, [`%${hidden.jti}%`])
    expect(await introspect(hidden.jwt)).toEqual(inactive)
  })

  it('reports a token as active until the second of its end', async () => {
    const { jwt } = await lab.get()
    clock.advance(299)
    expect(await introspect(jwt)).toMatchObject({ active: true })
    clock.advance(1)
    expect(await introspect(jwt)).toEqual(inactive)
  })
})

describe('a replica without its database', () => {
  it('answers 503 wherever a revocation might be missing, and recovers by itself', async () => {
    const purser = await startPurser({ store: 'postgres' })
    const ask = createAsk(purser)
    const lab = await createLab(purser)
    const { jwt, accessToken } = await lab.get()
    const [ca] = (await ask('listKeys')).body.items as { id: string }[]
    const { url } = inject('postgres')
    const database =
      purser.config.database.kind === 'postgres' ? new URL(purser.config.database.url.reveal()).pathname.slice(1) : ''
    const keeper = new Client({ connectionString: url })
    await keeper.connect()
    try {
      await keeper.query(`alter database ${database} allow_connections false`)
      await keeper.query('select pg_terminate_backend(pid) from pg_stat_activity where datname = $1', [database])
      const probe = async (): Promise<string> => fault(await ask('introspectToken', { body: { token: jwt } }))
      await expect.poll(probe, { timeout: 15_000, interval: 300 }).toBe('503 replica_behind')
      expect(fault(await ask('whoAmI', { token: accessToken }))).toBe('503 replica_behind')
      expect((await purser.call('GET', `/crl/${ca?.id ?? ''}`)).body.code).toBe('replica_behind')
      expect((await purser.call('GET', '/bundle')).status).toBe(200)
      await keeper.query(`alter database ${database} allow_connections true`)
      await expect.poll(probe, { timeout: 15_000, interval: 300 }).toBe('200 ')
    } finally {
      await keeper.query(`alter database ${database} allow_connections true`)
      await keeper.end()
      await purser.stop()
    }
  })
})
