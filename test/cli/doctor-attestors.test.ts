/** `purser doctor` on broken attestors: each is named in the first line. */
import { writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { httpsServer, makeIdentities } from '../outbound/tls-server.ts'
import { type Env, diagnose, folder, settings } from '../support/doctor.ts'
import { createIssuer } from '../support/issuer.ts'
import { startKubeStandIn } from '../support/kube-stand-in.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

const identities = makeIdentities()
let purser: TestPurser
let env: Env

beforeAll(async () => {
  purser = await startPurser({ store: 'postgres' })
  const { database, rootKey } = purser.config
  env = {
    ...settings(purser.dataDir),
    DATABASE_URL: database.kind === 'postgres' ? database.url.reveal() : '',
    PURSER_ROOT_KEY: rootKey.kind === 'value' ? rootKey.value.reveal() : '',
  }
})
afterAll(() => purser.stop())

async function attestor(definition: Record<string, unknown>): Promise<void> {
  const { revision } = (await purser.asAdmin('POST', '/api/v1/attestors', definition)).body
  const path = `/api/v1/attestors/${String(definition.name)}`
  onTestFinished(
    async () => void (await purser.asAdmin('DELETE', path, undefined, { 'if-match': `"${String(revision)}"` })),
  )
}

/** An issuer on loopback, which doctor may fetch from, as attestor `ci`. */
async function issuerAt(port: number, more: Record<string, unknown> = {}): Promise<Env> {
  const issuer = `https://127.0.0.1:${port}`
  await attestor({
    name: 'ci',
    kind: 'oidc',
    issuer,
    audience,
    keys: { discovery: true },
    caPem: identities.ca,
    ...more,
  })
  return { ...env, PURSER_FETCH_ALLOW: issuer }
}

const { jwk } = await createIssuer()

/** Discovery and keys, as an issuer answers; `set` may corrupt each reply. */
function issuerThat(set: (path: string) => { date?: Date; body?: string } = () => ({})): Promise<{ port: number }> {
  let port = 0
  const answer: RequestListener = (request, response) => {
    const path = request.url ?? ''
    const { date, body } = set(path)
    if (date) response.setHeader('date', date.toUTCString())
    const issuer = `https://127.0.0.1:${port}`
    const good = path.startsWith('/.well-known/') ? { issuer, jwks_uri: `${issuer}/keys` } : { keys: [jwk] }
    response.setHeader('content-type', 'application/json').end(body ?? JSON.stringify(good))
  }
  return httpsServer(identities.good, answer).then((server) => {
    port = server.port
    return server
  })
}

describe('an OIDC issuer', () => {
  it('with correct answers has no finding', async () => {
    const { port } = await issuerThat()
    const { out } = await diagnose(await issuerAt(port))
    expect(out).toMatch(/\nok +attestor +ci: works\n/)
    expect(out).toMatch(new RegExp(`\\nok +clock +agrees with the database, https://127\\.0\\.0\\.1:${port}\\n`))
  })

  it('whose issuer cannot be reached', async () => {
    const { code, first, out } = await diagnose(await issuerAt(1))
    expect([code, first]).toEqual([1, 'FAIL  attestor  ci: discovery and keys: unreachable: no answer (ECONNREFUSED)'])
    expect(out).toContain(
      'curl -v https://127.0.0.1:1/.well-known/openid-configuration; then: purser attestor check ci',
    )
  })

  it('whose certificate is from an unknown CA', async () => {
    const { port } = await issuerThat()
    const other = await httpsServer(identities.otherCa, (_, response) => response.end('{}'))
    expect((await diagnose(await issuerAt(other.port))).first).toMatch(
      /^FAIL  attestor  ci: discovery and keys: tls: no verified TLS connection \(\w+\)$/,
    )
    expect(port).toBeGreaterThan(0)
  })

  it('whose keys are garbage, or unusable', async () => {
    let body = 'swordfish'
    const { port } = await issuerThat((path) => (path === '/keys' ? { body } : {}))
    const set = await issuerAt(port)
    const { first, out } = await diagnose(set)
    expect(first).toMatch(/^FAIL  attestor  ci: discovery and keys: bad_body: the answer is not strict JSON/)
    expect(out).not.toContain('swordfish')
    body = JSON.stringify({ keys: [{ kty: 'oct', kid: 'k', k: 'c2VjcmV0' }] })
    expect((await diagnose(set)).first).toMatch(/^FAIL  attestor  ci: discovery and keys: 0 usable, 1 left out/)
  })

  it('whose address PURSER_FETCH_ALLOW does not list', async () => {
    const { port } = await issuerThat()
    const { PURSER_FETCH_ALLOW: _, ...set } = await issuerAt(port)
    const { first, out } = await diagnose(set)
    expect(first).toMatch(/^FAIL  attestor  ci: discovery and keys: not_allowed: /)
    expect(out).toContain('add it to PURSER_FETCH_ALLOW')
  })

  it('whose clock differs', async () => {
    let seconds = 90
    const { port } = await issuerThat(() => ({ date: new Date(Date.now() + seconds * 1000) }))
    const set = await issuerAt(port)
    const { code, first } = await diagnose(set)
    expect([code, first]).toEqual([
      1,
      expect.stringMatching(/^FAIL  clock  this host is \d+ s behind https:\/\/127\.0\.0\.1:\d+ \(attestor ci\)$/),
    ])
    seconds = -10
    const { code: fine, out } = await diagnose(set)
    expect([fine, out]).toEqual([0, expect.stringMatching(/^warn +clock +this host is \d+ s ahead of /m)])
  })

  it('for an audience that the server no longer names', async () => {
    const { port } = await issuerThat()
    const { out } = await diagnose({ ...(await issuerAt(port)), PURSER_AUDIENCES: 'https://renamed.example.org' })
    expect(out).toMatch(
      /^warn +attestor +ci: accepts proofs for https:\/\/purser\.example\.org, which PURSER_AUDIENCES lacks$/m,
    )
  })
})

describe('a cluster', () => {
  async function cluster(answers: number | undefined): Promise<void> {
    const kube = await startKubeStandIn({ identity: identities.good, caPem: identities.ca })
    onTestFinished(() => kube.stop())
    const tokenFile = join(folder(), 'reviewer')
    writeFileSync(tokenFile, kube.reviewer)
    if (answers !== undefined) {
      kube.state.instead = (path, response) => {
        if (!path.includes('tokenreviews')) return false
        response.writeHead(answers, { 'content-type': 'application/json' }).end('{"kind":"Status"}')
        return true
      }
    }
    const apiServer = { url: kube.url, caPem: kube.caPem, tokenFile }
    const verify = 'jwks-then-tokenreview'
    const keys = { discovery: true }
    await attestor({ name: 'prod', kind: 'kubernetes', issuer: kube.issuer, audience, verify, apiServer, keys })
  }

  it('that reviews our tokens has no finding', async () => {
    await cluster(undefined)
    expect((await diagnose(env)).out).toMatch(/\nok +attestor +prod: works\n/)
  })

  it('in which the account may not create tokenreviews', async () => {
    await cluster(403)
    const { code, first, out } = await diagnose(env)
    expect([code, first]).toEqual([
      1,
      'FAIL  attestor  prod: TokenReview: API server: our account may not create tokenreviews.authentication.k8s.io: it needs a ClusterRole that says so',
    ])
    expect(out).toContain('kubectl create clusterrole purser-reviewer --verb=create')
  })

  it('that does not know the reviewer’s token', async () => {
    await cluster(401)
    expect((await diagnose(env)).first).toContain(
      'FAIL  attestor  prod: TokenReview: API server: the API server does not know our token',
    )
  })
})

describe('a workload entry', () => {
  /** As an older version wrote it. */
  async function entry(change: Record<string, unknown>): Promise<void> {
    const definition = { name: 'old', attestor: 'join', spiffeId: 'spiffe://example.org/join/old' }
    await purser.asAdmin('POST', '/api/v1/workloads', definition)
    onTestFinished(async () => {
      await purser.asAdmin('DELETE', '/api/v1/workloads/old', undefined, { 'if-match': '"1"' })
    })
    const rewritten = JSON.stringify({ ...definition, ...change })
    await purser.knex('workload').where({ name: 'old', deleted_at: null }).update({ definition: rewritten })
  }

  it('whose placeholder is a part of a segment is named, with the remedy', async () => {
    await entry({ spiffeId: 'spiffe://example.org/join/old-{join:token}' })
    const { code, out } = await diagnose(env)
    expect(code).toBe(0)
    expect(out).toMatch(/^warn +workload entry +old: \/spiffeId a placeholder must be a whole path segment/m)
    expect(out).toContain('purser workload get old > entry.json')
  })

  it('that has a grant of an operator without a bound is named', async () => {
    await entry({ grants: { operator: { role: 'admin', paths: ['**'] } } })
    expect((await diagnose(env)).out).toMatch(
      /^warn +workload entry +old: \/grants\/operator has no effect without `bound`/m,
    )
  })

  it('that breaks no rule has no finding', async () => {
    await entry({})
    expect((await diagnose(env)).out).toMatch(/\nok +workload entry +all are valid\n/)
  })
})
