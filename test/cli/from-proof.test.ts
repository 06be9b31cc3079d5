import { createHmac } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { matchFromProof } from '../../src/cli/from-proof.ts'
import { CliError } from '../../src/cli/io.ts'

/** The signature is invalid: the code under test does not verify it. */
function tokenOf(claims: Record<string, unknown>): string {
  const part = (value: unknown): string => Buffer.from(JSON.stringify(value)).toString('base64url')
  const text = `${part({ alg: 'RS256', kid: 'k' })}.${part(claims)}`
  return `${text}.${createHmac('sha256', 'x').update(text).digest('base64url')}`
}

type Attestor = Parameters<typeof matchFromProof>[1]

const attestor = (more: Partial<Attestor>): Attestor =>
  ({ id: 'att_1', name: 'a', kind: 'oidc', spiffeIdPrefix: '/a/', revision: 1, ...more }) as Attestor

const pod = {
  sub: 'system:serviceaccount:prod:web',
  'kubernetes.io': {
    namespace: 'prod',
    serviceaccount: { name: 'web', uid: 'sa-1' },
    pod: { name: 'web-0', uid: 'p-1' },
  },
}

describe('required conditions of an entry, by kind of attestor', () => {
  it.each<[string, Partial<Attestor>, Record<string, unknown>, Record<string, string>]>([
    ['kubernetes', { kind: 'kubernetes' }, pod, { 'k8s:ns': 'prod', 'k8s:sa': 'web', 'k8s:sa-uid': 'sa-1' }],
    ['any issuer', {}, { sub: 'job:7', email: 'x@y' }, { 'oidc:sub': 'job:7' }],
    [
      'GitHub Actions',
      { preset: 'github-actions' },
      {
        sub: 'repo:shop/web:ref:refs/heads/main',
        repository: 'shop/web',
        repository_id: '11',
        repository_owner_id: '22',
        run_id: '33',
        run_attempt: '1',
        ref: 'refs/heads/main',
      },
      { 'github:repository-id': '11', 'github:repository-owner-id': '22', 'github:ref': 'refs/heads/main' },
    ],
    [
      'GitLab CI',
      { preset: 'gitlab-ci' },
      {
        sub: 'project_path:shop/web',
        project_id: '5',
        namespace_id: '6',
        job_id: '7',
        project_path: 'shop/web',
        ref_path: 'refs/heads/main',
        ref_protected: 'true',
      },
      {
        'gitlab:project-id': '5',
        'gitlab:namespace-id': '6',
        'gitlab:ref': 'refs/heads/main',
        'gitlab:ref-protected': 'true',
      },
    ],
  ])('%s', (_, kind, claims, expected) => {
    expect(matchFromProof(`${tokenOf(claims)}\n`, attestor(kind))).toEqual(expected)
  })
})

describe('refuses, without showing the token', () => {
  it.each<[string, Partial<Attestor>, string]>([
    ['text that is not a token', {}, 'hunter2'],
    ['a join token', {}, `purser_join_${'a'.repeat(43)}`],
    ['a CI token for a cluster', { kind: 'kubernetes' }, tokenOf({ sub: 'job:7' })],
    ["a pod's token for GitHub", { preset: 'github-actions' }, tokenOf(pod)],
    ['any token for join', { kind: 'join-token' }, tokenOf(pod)],
  ])('%s', (_, kind, token) => {
    const attempt = () => matchFromProof(token, attestor(kind))
    expect(attempt).toThrow(CliError)
    expect(attempt).not.toThrow(token)
  })
})
