/** Policy tests: what a caller may have, and may not have, by the server's explanation. */
import { readFile, realpath, stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { type PathPattern, matchPath, parsePathPattern, parseSecretPath } from '../../names/secret-path.ts'
import type { Api } from '../api.ts'
import type { Schemas } from '../api-types.ts'
import type { Definition } from '../documents.ts'
import { codeOf, usageError } from '../io.ts'
import { isJoinToken } from '../proof-source.ts'
import { isInside } from './folder.ts'
import type { DeclaredTest } from './read.ts'

type SecretAction = 'read' | 'list' | 'watch'
type Rights = Partial<Record<SecretAction | 'audiences' | 'dnsNames' | 'databases', string[]>>

/** The specification of a test: its document passed the schema (policy-test-schema.ts). */
type TestSpec = {
  attestor?: string
  selectors?: Record<string, string | string[]>
  tokenFile?: string
  workload?: string
  expect: {
    outcome?: 'granted' | 'refused'
    reason?: string
    workload?: string
    spiffeId?: string
    may?: Rights
    mayNot?: Rights
  }
}

const isTestSpec = (spec: Definition): spec is Definition & TestSpec => typeof spec.expect === 'object'

export type TestResult = { name: string; place: string; ok: boolean; faults: string[] }

export async function runPolicyTest(api: Api, { name, spec, place, path, root }: DeclaredTest): Promise<TestResult> {
  if (!isTestSpec(spec)) throw usageError(`${place}: is not a policy test`)
  const { attestor = '', selectors = {}, tokenFile, workload } = spec
  const caller =
    tokenFile === undefined ? { attestor, selectors } : { proof: await proofIn(tokenFile, { place, path, root }) }
  const body = { ...caller, ...(workload !== undefined && { workload }) }
  const { body: explanation } = await api.call('POST', '/api/v1/workloads:explain', { body })
  const faults = faultsOf(spec.expect, explanation)
  return { name, place, ok: faults.length === 0, faults }
}

const maxProofBytes = 64 * 1024

async function proofIn(
  tokenFile: string,
  { place, path, root }: Pick<DeclaredTest, 'place' | 'path' | 'root'>,
): Promise<Schemas['ExplainProof']> {
  const file = join(path === '-' ? root : dirname(path), tokenFile)
  try {
    const real = await realpath(file)
    if (!isInside(root, real)) throw usageError(`${place}: tokenFile leaves the folder: keep the file beside the test`)
    const { size } = await stat(real)
    if (size > maxProofBytes) throw usageError(`${place}: ${file} is too large for a token`)
    const token = (await readFile(real, 'utf8')).trim()
    return { kind: isJoinToken(token) ? 'join-token' : 'jwt', token }
  } catch (error) {
    const code = codeOf(error)
    throw code?.startsWith('E') ? usageError(`${place}: tokenFile: can't read ${file} (${code})`) : error
  }
}

/** What differs from the expectation, in words. */
function faultsOf(expect: TestSpec['expect'], { outcome, reason, detail, grant }: Schemas['ExplainReply']): string[] {
  const { may, mayNot, ...facts } = expect
  const isMeantToBeGranted = facts.outcome === 'granted' || facts.workload !== undefined || may !== undefined
  const faults: string[] = []
  const differs = (what: string, actual: string | undefined, expected: string | undefined): void => {
    if (expected !== undefined && actual !== expected)
      faults.push(`${what} is ${actual ?? 'none'}, expected ${expected}`)
  }
  if (outcome === 'refused' && (isMeantToBeGranted || facts.spiffeId !== undefined)) {
    return [`is refused (${reason ?? 'unknown'}): ${detail ?? ''}`.trim()]
  }
  differs('the outcome', outcome, facts.outcome ?? (facts.reason === undefined ? undefined : 'refused'))
  differs('the reason', reason, facts.reason)
  differs('the entry', grant?.workload?.name, facts.workload)
  differs('the SPIFFE ID', grant?.spiffeId, facts.spiffeId)
  const has = rightsOf(grant?.grants ?? {})
  for (const { right, value } of rightsIn(may))
    if (!has(right, value)) faults.push(`may not ${wordsOf(right)} ${value}`)
  for (const { right, value } of rightsIn(mayNot)) if (has(right, value)) faults.push(`may ${wordsOf(right)} ${value}`)
  return faults
}

type Right = keyof Rights

function rightsOf({ x509, jwt, secrets = [], databases = [] }: Schemas['GrantsInShort']) {
  const rules = secrets.map(({ paths, actions }) => ({ actions, patterns: paths.map(parsePathPattern) }))
  const mayTouch = (action: string, path: string): boolean => {
    const matches = (pattern: PathPattern): boolean => matchPath(pattern, parseSecretPath(path))
    return rules.some(({ actions, patterns }) => actions.includes(action) && patterns.some(matches))
  }
  return (right: Right, value: string): boolean => {
    if (right === 'audiences') return jwt?.audiences.includes(value) ?? false
    if (right === 'dnsNames') return x509?.dnsNames.includes(value) ?? false
    if (right === 'databases') return databases.includes(value)
    return mayTouch(right, value)
  }
}

const isRight = (name: string): name is Right =>
  ['read', 'list', 'watch', 'audiences', 'dnsNames', 'databases'].includes(name)

const rightsIn = (rights: Rights = {}): { right: Right; value: string }[] =>
  Object.keys(rights)
    .filter(isRight)
    .flatMap((right) => (rights[right] ?? []).map((value) => ({ right, value })))

function wordsOf(right: Right): string {
  if (right === 'audiences') return 'have a JWT for'
  if (right === 'dnsNames') return 'have a certificate for'
  return right === 'databases' ? 'have a role in' : right
}
