import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { type Ask, createAsk, entryOf, fault } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { frontDoorStores } from '../support/stores.ts'

describe.each(frontDoorStores)('attestors (%s)', (store) => {
  let purser: TestPurser
  let issuer: Issuer
  let ask: Ask
  const attestor = (name: string, more: Record<string, unknown> = {}) => ({
    name,
    kind: 'oidc',
    issuer: `https://${name}.issuer.example`,
    audience,
    keys: { jwks: { keys: [issuer.jwk] } },
    ...more,
  })

  beforeAll(async () => {
    purser = await startPurser({ store })
    issuer = await createIssuer()
    ask = createAsk(purser)
  })
  afterAll(() => purser.stop())

  it.each([
    ['a foreign audience', { audience: 'https://elsewhere.example' }, '422 impossible /audience'],
    ['our own issuer', { issuer: audience }, '422 impossible /issuer'],
    ["Purser's own subtree", { spiffeIdPrefix: '/purser/x/' }, '422 impossible /spiffeIdPrefix'],
    ['a prefix with a dot segment', { spiffeIdPrefix: '/a/../b/' }, '422 impossible /spiffeIdPrefix'],
    ['the subtree of join tokens', { spiffeIdPrefix: '/join/x/' }, '409 conflict /spiffeIdPrefix'],
    ['a private key', { keys: { jwks: { keys: [{ kty: 'oct', k: 'c2VjcmV0' }] } } }, '400 invalid_request'],
    ['an id of its own', { id: 'att_1' }, '400 invalid_request /id'],
    ['a revision', { revision: 7 }, '400 invalid_request /revision'],
    ['a column', { spiffe_id_prefix: '/x/' }, '400 invalid_request /spiffe_id_prefix'],
  ])('are refused with %s, and nothing is stored', async (_, more, expected) => {
    expect(fault(await ask('createAttestor', { body: attestor('bad', more) }))).toContain(expected)
    expect(fault(await ask('getAttestor', { name: 'bad' }))).toBe('404 not_found')
  })

  it('share neither issuer and audience, nor a subtree, nor a name', async () => {
    const creation = await ask('createAttestor', { body: attestor('lab') })
    expect(fault(creation)).toBe('201 ')
    expect(creation.headers.get('etag')).toBe('"1"')
    expect(creation.body).toMatchObject({
      spiffeIdPrefix: '/lab/',
      singleUse: false,
      otherAudiences: 'refuse',
      revision: 1,
    })
    expect((await ask('getAttestor', { name: 'lab' })).body).toEqual(creation.body)
    const entry = await entryOf(purser, creation)
    const { id, revision, ...state } = creation.body
    expect(entry).toMatchObject({ action: 'attestor.create', resource: { id, name: 'lab', revision } })
    expect(entry?.change?.after).toEqual(state)

    expect(fault(await ask('createAttestor', { body: attestor('lab') }))).toBe('409 already_exists')
    const twin = attestor('twin', { issuer: 'https://lab.issuer.example' })
    expect(fault(await ask('createAttestor', { body: twin }))).toBe('409 conflict /issuer')
    const inside = attestor('inside', { spiffeIdPrefix: '/lab/inside/' })
    expect(fault(await ask('createAttestor', { body: inside }))).toBe('409 conflict /spiffeIdPrefix')
  })

  it('are replaced at the revision that was read, and keep name and kind', async () => {
    const next = attestor('lab', { maxTokenAgeSeconds: 600 })
    expect(fault(await ask('replaceAttestor', { name: 'lab', body: next }))).toBe('428 precondition_required')
    const stale = await ask('replaceAttestor', { name: 'lab', body: next, ifMatch: 2 })
    expect([fault(stale), stale.body.revision]).toEqual(['412 stale', 1])
    const renamed = await ask('replaceAttestor', { name: 'lab', body: attestor('other'), ifMatch: 1 })
    expect(fault(renamed)).toBe('422 impossible /name')
    const kind = {
      name: 'lab',
      kind: 'kubernetes',
      issuer: 'https://cluster.example',
      audience,
      verify: 'jwks',
      keys: next.keys,
    }
    expect(fault(await ask('replaceAttestor', { name: 'lab', body: kind, ifMatch: 1 }))).toBe('409 conflict /kind')
    const replaced = await ask('replaceAttestor', { name: 'lab', body: next, ifMatch: 1 })
    expect(replaced.body).toMatchObject({ maxTokenAgeSeconds: 600, revision: 2 })
    expect(replaced.headers.get('etag')).toBe('"2"')
  })

  it('verify by their new definition at once', async () => {
    await ask('createWorkload', {
      body: { name: 'web', attestor: 'lab', match: { 'oidc:sub': 'web' }, spiffeId: 'spiffe://example.org/lab/web' },
    })
    const proof = async () => ({ kind: 'jwt', token: await issuer.token({ iss: 'https://lab.issuer.example' }) })
    const attest = async () => purser.call('POST', '/api/v1/credentials', { proof: await proof() })
    expect((await attest()).status).toBe(200)
    const other = await createIssuer()
    const keys = { jwks: { keys: [other.jwk] } }
    await ask('replaceAttestor', { name: 'lab', body: attestor('lab', { keys }), ifMatch: 2 })
    expect(fault(await attest())).toBe('401 attestation_failed')
    await ask('replaceAttestor', { name: 'lab', body: attestor('lab'), ifMatch: 3 })
    expect((await attest()).status).toBe(200)
  })

  it('cannot move away from their entries, and cannot be deleted while entries use them', async () => {
    const withOtherPrefix = attestor('lab', { spiffeIdPrefix: '/elsewhere/' })
    const replaced = await ask('replaceAttestor', { name: 'lab', body: withOtherPrefix, ifMatch: 4 })
    expect([fault(replaced), String(replaced.body.detail)]).toEqual(['409 in_use', expect.stringContaining('web')])
    expect(fault(await ask('deleteAttestor', { name: 'lab' }))).toBe('428 precondition_required')
    const used = await ask('deleteAttestor', { name: 'lab', ifMatch: 4 })
    expect([fault(used), String(used.body.detail)]).toEqual(['409 in_use', expect.stringContaining('web')])
    await ask('deleteWorkload', { name: 'web', ifMatch: 1 })
    expect(fault(await ask('deleteAttestor', { name: 'lab', ifMatch: 3 }))).toBe('412 stale')
    const deletion = await ask('deleteAttestor', { name: 'lab', ifMatch: 4 })
    expect(deletion.status).toBe(204)
    expect((await entryOf(purser, deletion))?.action).toBe('attestor.delete')
    expect(fault(await ask('getAttestor', { name: 'lab' }))).toBe('404 not_found')
    // Name, prefix, issuer and audience are free again.
    expect(fault(await ask('createAttestor', { body: attestor('lab') }))).toBe('201 ')
  })

  it('of every kind and preset show their settings, and validate the matches of entries', async () => {
    const cluster = { kind: 'kubernetes', issuer: 'https://cluster.example', audience, verify: 'jwks' }
    const creation = await ask('createAttestor', {
      body: { ...cluster, name: 'cluster', keys: { jwks: { keys: [issuer.jwk] } } },
    })
    expect(creation.body).toMatchObject({ verify: 'jwks', singleUse: false, otherAudiences: 'allow' })
    const entry = (attestor: string, match: Record<string, unknown>, more = {}) => ({
      name: `at-${attestor}`,
      attestor,
      match,
      spiffeId: `spiffe://example.org/${attestor}/x`,
      ...more,
    })
    const typo = entry('cluster', { 'k8s:namespace': 'prod' })
    expect(fault(await ask('createWorkload', { body: typo }))).toBe('422 impossible /match/k8s:namespace')
    const template = entry('cluster', { 'k8s:ns': 'prod' }, { spiffeId: 'spiffe://example.org/cluster/{oidc:sub}' })
    expect(fault(await ask('createWorkload', { body: template }))).toBe('422 impossible /spiffeId')

    const presets = [
      [
        'github-actions',
        {},
        { singleUse: true, issuer: 'https://token.actions.githubusercontent.com' },
        'github:repository',
        'github:repository-id',
        { 'github:ref': 'refs/heads/main' },
      ],
      [
        'gitlab-ci',
        {},
        { singleUse: false, issuer: 'https://gitlab.com' },
        'gitlab:project-path',
        'gitlab:project-id',
        { 'gitlab:ref-protected': 'true' },
      ],
      ['google', {}, { singleUse: false, issuer: 'https://accounts.google.com' }, 'gcp:email', 'gcp:sub', {}],
    ] as const
    for (const [preset, more, expected, name, id, narrow] of presets) {
      const answer = await ask('createAttestor', { body: { name: preset, kind: 'oidc', preset, audience, ...more } })
      expect(answer.body, preset).toMatchObject({ preset, ...expected })
      expect(fault(await ask('createWorkload', { body: entry(preset, { [name]: 'x' }) })), preset).toBe(
        '422 match_too_wide /match',
      )
      const anyMatch = entry(preset, { [id]: '*' }, { wide: true, spiffeId: `spiffe://example.org/${preset}/{${id}}` })
      expect(fault(await ask('createWorkload', { body: anyMatch })), preset).toBe('422 match_too_wide /match')
      const wide = { ...entry(preset, { [id]: '8' }, { wide: true }), name: `every-run-of-${preset}` }
      expect(fault(await ask('createWorkload', { body: wide })), preset).toBe('201 ')
      const alone = await ask('createWorkload', { body: entry(preset, { [id]: '7' }) })
      expect(fault(alone), preset).toBe(Object.keys(narrow).length > 0 ? '422 match_too_wide /match' : '201 ')
      if (alone.status === 201) continue
      expect(fault(await ask('createWorkload', { body: entry(preset, { [id]: '7', ...narrow }) })), preset).toBe('201 ')
    }
  })

  describe('that are invalid are refused with advice', () => {
    const detailOf = async (body: Record<string, unknown>): Promise<[string, string]> => {
      const answer = await ask('createAttestor', { body: { name: 'second', kind: 'kubernetes', audience, ...body } })
      const [error] = answer.body.errors as { pointer: string; detail: string }[]
      return [fault(answer), error?.detail ?? '']
    }
    const keys = async () => ({ jwks: { keys: [(await createIssuer()).jwk] } })

    it('for an audience that the server lacks', async () => {
      const definition = { kind: 'oidc', issuer: 'https://ci.example', audience: 'other', keys: await keys() }
      const [refusal, detail] = await detailOf(definition)
      expect(refusal).toBe('422 impossible /audience')
      expect(detail).toContain(audience)
      expect(detail).toContain('add yours to PURSER_AUDIENCES and restart the server')
    })

    it('for "in-cluster" outside a cluster', async () => {
      const [refusal, detail] = await detailOf({ apiServer: 'in-cluster' })
      expect(refusal).toBe('422 impossible /apiServer')
      expect(detail).toContain('this server does not run in a cluster')
      expect(detail).toContain('--api-server')
    })

    it('for a second cluster with the issuer of the first', async () => {
      const issuer = 'https://kubernetes.default.svc.cluster.local'
      const object = { kind: 'kubernetes', verify: 'jwks', issuer, audience, keys: await keys() }
      const first = await ask('createAttestor', { body: { ...object, name: 'first' } })
      expect(fault(first)).toBe('201 ')
      const [refusal, detail] = await detailOf(object)
      expect(refusal).toBe('409 conflict /issuer')
      expect(detail).toContain('list another audience in PURSER_AUDIENCES')
      expect(detail).toContain('--service-account-issuer')
      expect(fault(await ask('deleteAttestor', { name: 'first', ifMatch: 1 }))).toBe('204 ')
    })
  })

  it('include a built-in one, which is shown like the others and cannot be changed', async () => {
    const { body } = await ask('getAttestor', { name: 'join' })
    expect(body).toMatchObject({ name: 'join', kind: 'join-token', spiffeIdPrefix: '/join/', revision: 1 })
    expect(fault(await ask('deleteAttestor', { name: 'join', ifMatch: 1 }))).toBe('409 conflict')
    expect(fault(await ask('replaceAttestor', { name: 'join', body: attestor('join'), ifMatch: 1 }))).toBe(
      '409 conflict',
    )
    expect(fault(await ask('createAttestor', { body: attestor('join') }))).toBe('409 already_exists')
    expect((await ask('checkAttestor', { name: 'join' })).body).toMatchObject({ ok: true })
  })

  it('are checked on request, and the findings are returned and recorded', async () => {
    const checked = await ask('checkAttestor', { name: 'lab' })
    expect(fault(checked)).toBe('200 ')
    expect(checked.body.ok).toBe(true)
    expect(await entryOf(purser, checked)).toMatchObject({
      action: 'attestor.check',
      outcome: 'granted',
      resource: { name: 'lab' },
      detail: { ok: true },
    })
    // No server answers there: the check reports it, and the request itself succeeds.
    const unreachableIssuer = attestor('away', { issuer: 'https://issuer.invalid', keys: { discovery: true } })
    await ask('createAttestor', { body: unreachableIssuer })
    const unreachable = await ask('checkAttestor', { name: 'away' })
    expect(unreachable.status).toBe(200)
    expect(unreachable.body.ok).toBe(false)
    expect(fault(await ask('checkAttestor', { name: 'nobody' }))).toBe('404 not_found')
  })
})
