/** A plan as a file: what was reviewed, with the revisions that it was made for. It holds no secret. */
import { writeFile } from 'node:fs/promises'
import { loadOpenApi } from '../../http/openapi.ts'
import { problemsOf } from '../../http/openapi-problems.ts'
import { isMembers } from '../../json/members.ts'
import type { Api } from '../api.ts'
import { CliError, type Io, codeOf, usageError } from '../io.ts'
import { readText } from '../settings.ts'
import { kindNames } from './kinds.ts'
import type { PlanItem } from './plan.ts'
import { createChecks } from './schema.ts'

const format = 'purser-plan/1'
const actions = ['create', 'change', 'delete', 'unchanged'] as const

/** The deployment that a plan is for. */
async function deploymentOf(api: Api): Promise<{ trustDomain: string; issuer: string }> {
  const { trustDomain, issuer } = (await api.call('GET', '/api/v1/server', { token: null })).body
  return { trustDomain, issuer }
}

export async function writePlan(api: Api, path: string, items: readonly PlanItem[]): Promise<void> {
  const text = `${JSON.stringify({ format, server: await deploymentOf(api), items }, null, 2)}\n`
  try {
    await writeFile(path, text, { mode: 0o600 })
  } catch (error) {
    throw new CliError(`can't write ${path} (${codeOf(error) ?? 'unknown'})`)
  }
}

/** @throws CliError when it is not a plan, or one for another deployment */
export async function readPlan(io: Pick<Io, 'readFile'>, api: Api, path: string): Promise<PlanItem[]> {
  const plan = parse(readText(io, path, 'plan'), path)
  if (!isMembers(plan) || plan.format !== format) {
    throw usageError(`${path} is not a plan of this version: make one with purser plan --out`)
  }
  if (!Array.isArray(plan.items) || !plan.items.every(isItem)) {
    throw usageError(`${path} was edited or is damaged: make a new plan with purser plan --out`)
  }
  const { trustDomain, issuer } = await deploymentOf(api)
  if (!isMembers(plan.server) || plan.server.trustDomain !== trustDomain || plan.server.issuer !== issuer) {
    throw usageError(`${path} is a plan for another Purser than ${issuer}: make one for it`)
  }
  checkDefinitions(path, plan.items)
  return plan.items
}

function parse(text: string, path: string): unknown {
  try {
    return JSON.parse(text)
  } catch {
    throw usageError(`${path} is not JSON`)
  }
}

function isItem(item: unknown): item is PlanItem {
  if (!isMembers(item)) return false
  const { kind, name, action, revision, id, spec } = item
  const writes = action === 'create' || action === 'change'
  return (
    kindNames.some((kindName) => kindName === kind) &&
    typeof name === 'string' &&
    actions.some((actionName) => actionName === action) &&
    Number.isSafeInteger(revision) &&
    (id === undefined || typeof id === 'string') &&
    writes === isMembers(spec)
  )
}

/** A plan is checked like the files that it was made from. */
function checkDefinitions(path: string, items: readonly PlanItem[]): void {
  const checkOf = createChecks(loadOpenApi().written)
  for (const { kind, name, spec } of items) {
    const [problem] = spec ? problemsOf(checkOf(kind)({ kind, name, spec })) : []
    if (problem) throw usageError(`${path}: ${kind} ${name}: ${problem.pointer}: ${problem.detail}`)
  }
}
