/**
 * Two teams on one Purser. Each has every kind of object that a team can have, under names that contain the word of
 * the team.
 */
import { X509Certificate, createHash, generateKeyPairSync } from 'node:crypto'
import { setTimeout } from 'node:timers/promises'
import { createCsr } from '@purser/sdk/csr'
import { type Token, tokenFor } from './accounts.ts'
import { requested } from './approvals.ts'
import { createIssuer } from './issuer.ts'
import { definitionFor } from './leases.ts'
import { type Ask, createAsk, readLog } from './operator.ts'
import { type TestPurser, audience } from './purser.ts'
import { split } from './published.ts'
import type { TargetServer } from './target.ts'

export type Team = {
  word: string
  tokens: Record<'admin' | 'operator' | 'auditor', Token>
  /** The access token of a job that acts as an admin within the team's bound. */
  job: string
  /** Values by their names in requests. */
  names: Record<string, string>
  /** Texts that identify the team: its word, and every id. */
  marks: string[]
}

const boundOfTeam = (word: string) => ({
  attestors: [word],
  namePrefix: `${word}-`,
  spiffeIdPrefix: `/${word}/`,
  secretPrefix: `${word}/`,
  audiences: [`${word}-payments`],
  dnsSuffixes: [`${word}.svc`],
  databases: [`${word}-orders`],
})

export async function createTeam(purser: TestPurser, target: TargetServer, word: string): Promise<Team> {
  const ask = createAsk(purser)
  const tokens = await createOperators(ask, word)
  const { issuer, workload, attestor, database } = await register(purser, target, word)
  const path = `${word}/orders/password`
  const reason = { 'purser-reason': `for ${word}` }
  await purser.asAdmin('PUT', `/api/v1/secrets/${path}`, { data: { value: `${word}-value` } }, { 'if-match': '"0"' })
  await purser.asAdmin(
    'PUT',
    `/api/v1/secrets/${path}:rotation`,
    { rotator: { kind: 'generated', fields: { value: { length: 40, alphabet: 'hex' } } } },
    { 'if-match': '"0"' },
  )
  const proof = async () => ({ kind: 'jwt', token: await issuer.token({ sub: word }) })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const attest = async () => {
    const answer = await purser.call('POST', '/api/v1/credentials', {
      proof: await proof(),
      x509: { csr: createCsr(privateKey) },
      jwts: [{ audience: [`${word}-payments`] }],
      accessToken: {},
      secrets: [path],
      databases: [`${word}-orders`],
    })
    if (answer.status !== 200) throw new Error(answer.text)
    return answer.body as {
      session: { id: string }
      x509: { certificateChain: string }
      jwts: { token: string; jti: string }[]
      accessToken: { id: string; token: string }
      databases: { lease: string }[]
    }
  }
  const issued = await attest()
  const acting = await purser.call('POST', '/api/v1/credentials', {
    proof: { kind: 'jwt', token: await issuer.token({ sub: `${word}-ci` }) },
    accessToken: {},
  })
  const { token: job } = acting.body['accessToken'] as { token: string }
  const contained = await attest()
  const revocation = await purser.asAdmin(
    'POST',
    '/api/v1/revocations',
    { spiffeId: `spiffe://example.org/${word}/gone` },
    reason,
  )
  const destruction = { method: 'POST', path: `/api/v1/secrets/${path}:destroy`, body: { all: true } }
  const approval = await requested(ask, destruction, tokens.operator.token)
  const containment = await purser.asAdmin(
    'POST',
    '/api/v1/containments',
    { match: { serialNumber: serialOf(contained.x509.certificateChain) }, rotate: false },
    reason,
  )
  await untilSettled(purser)
  const log = await readLog(purser)
  const index = log.findIndex((entry) => entry.actor.session === issued.session.id)
  const names = {
    word,
    attestor: word,
    workload: `${word}-web`,
    operator: `${word}-operator`,
    database: `${word}-orders`,
    path,
    prefix: `${word}/`,
    spiffeId: `spiffe://example.org/${word}/web`,
    audience: `${word}-payments`,
    dnsName: `web.${word}.svc`,
    managedBy: `git:${word}`,
    selector: `oidc:sub=${word}`,
    sub: word,
    session: issued.session.id,
    serialNumber: serialOf(issued.x509.certificateChain),
    sha256: sha256Of(issued.x509.certificateChain),
    jti: issued.jwts[0]?.jti ?? '',
    jwt: issued.jwts[0]?.token ?? '',
    accessToken: issued.accessToken.id,
    lease: issued.databases[0]?.lease ?? '',
    requestId: log[index]?.requestId ?? '',
    index: String(index),
    tokenId: tokens.operator.id,
    revocation: String(revocation.body.id),
    containment: String(containment.body.id),
    approval,
    workloadId: workload,
    attestorId: attestor,
    databaseId: database,
  }
  const { index: _, sub: __, ...distinct } = names
  return { word, tokens, job, names, marks: [...new Set(Object.values(distinct))] }
}

/** The containment and the end of its lease have nothing left to do. */
async function untilSettled(purser: TestPurser): Promise<void> {
  const isSettled = async (): Promise<boolean> => {
    const { knex } = purser
    await purser.runJobs()
    const lease: unknown = await knex('lease').where({ state: 'revoking' }).first('id')
    const containment: unknown = await knex('containment').whereNull('completed_at').first('id')
    return lease === undefined && containment === undefined
  }
  for (let attempt = 0; !(await isSettled()); attempt++) {
    if (attempt === 100) throw new Error('the containment does not end')
    await setTimeout(100)
  }
}

async function createOperators(ask: Ask, word: string): Promise<Team['tokens']> {
  const create = async (role: 'admin' | 'operator' | 'auditor'): Promise<Token> => {
    const name = `${word}-${role}`
    await ask('createOperator', { body: { name, role, bound: boundOfTeam(word) } })
    return tokenFor(ask, name, { description: `token of ${word}` })
  }
  return { admin: await create('admin'), operator: await create('operator'), auditor: await create('auditor') }
}

async function register(purser: TestPurser, target: TargetServer, word: string) {
  const issuer = await createIssuer(`https://${word}.example`, word)
  const attestor = await purser.asAdmin('POST', '/api/v1/attestors', {
    name: word,
    kind: 'oidc',
    issuer: issuer.issuer,
    audience,
    keys: { jwks: { keys: [issuer.jwk] } },
    managedBy: `git:${word}`,
  })
  const database = await purser.asAdmin('POST', '/api/v1/databases', {
    ...definitionFor(target),
    name: `${word}-orders`,
    managedBy: `git:${word}`,
  })
  const workload = await purser.asAdmin('POST', '/api/v1/workloads', {
    name: `${word}-web`,
    attestor: word,
    match: { 'oidc:sub': word },
    spiffeId: `spiffe://example.org/${word}/web`,
    grants: {
      x509: { dnsNames: [`web.${word}.svc`] },
      jwt: { audiences: [`${word}-payments`] },
      secrets: [{ paths: [`${word}/**`], actions: ['read', 'list', 'watch'] }],
      databases: [`${word}-orders`],
    },
    managedBy: `git:${word}`,
    labels: { team: word },
  })
  await purser.asAdmin('POST', '/api/v1/workloads', {
    name: `${word}-ci`,
    attestor: word,
    match: { 'oidc:sub': `${word}-ci` },
    spiffeId: `spiffe://example.org/${word}/ci`,
    grants: { operator: { role: 'admin', bound: boundOfTeam(word) } },
    managedBy: `git:${word}`,
  })
  return { issuer, attestor: idOf(attestor), database: idOf(database), workload: idOf(workload) }
}

const idOf = ({ body }: { body: Record<string, unknown> }): string => String(body.id)

const leafOf = (chain: string): X509Certificate => new X509Certificate(split(chain)[0] ?? '')
const serialOf = (chain: string): string => leafOf(chain).serialNumber.toLowerCase()
const sha256Of = (chain: string): string => createHash('sha256').update(leafOf(chain).raw).digest('hex')
