/** Carries out a plan, each write under the revision that the plan was made for. */
import type { Definition } from '../documents.ts'
import { isMembers } from '../../json/members.ts'
import { CliError, usageError } from '../io.ts'
import { keyOf } from './kinds.ts'
import type { Objects, Written } from './live.ts'
import type { PlanItem } from './plan.ts'

export type Applied = Omit<PlanItem, 'spec' | 'changes'> & { logIndex?: string; warnings?: Written['warnings'] }

type Options = {
  reason: string | undefined
  /** The passwords of databases, by name. They are in no file and no plan. */
  passwords: ReadonlyMap<string, string>
  onApplied: (applied: Applied) => void
}

/** In order. After a refusal the rest stays as it is. */
export async function applyPlan(objects: Objects, items: readonly PlanItem[], options: Options): Promise<void> {
  for (const { spec, changes: _, ...item } of items) {
    if (item.action === 'unchanged') options.onApplied(item)
    else options.onApplied({ ...item, ...(await write(objects, { ...item, ...(spec && { spec }) }, options)) })
  }
}

async function write(objects: Objects, item: PlanItem, { reason, passwords }: Options): Promise<Partial<Applied>> {
  const { kind, name, action, revision: ifMatch, spec = {} } = item
  const request = { ifMatch, reason }
  try {
    const { logIndex, ...reply } = await (action === 'delete'
      ? objects[kind].remove(name, request)
      : objects[kind].put(name, kind === 'database' ? withPassword(spec, passwords.get(name)) : spec, request))
    return { ...reply, ...(logIndex !== undefined && { logIndex }) }
  } catch (error) {
    if (!(error instanceof CliError)) throw error
    throw new CliError(`${keyOf(item)} (${action}): ${error.message}`, error.exitCode, error.code)
  }
}

const withPassword = (spec: Definition, password: string | undefined): Definition =>
  password === undefined || !isMembers(spec.admin) ? spec : { ...spec, admin: { ...spec.admin, password } }

/** @throws CliError that names the passwords which are missing */
export function checkPasswords(items: readonly PlanItem[], passwords: ReadonlyMap<string, string>): void {
  const missing = items.filter(needsPassword).filter(({ name }) => !passwords.has(name))
  if (missing.length === 0) return
  const flags = missing.map(({ name }) => `--password-file ${name}=<file>`)
  throw usageError(`the passwords of new databases are missing: give ${flags.join(' ')}`)
}

export const needsPassword = ({ kind, action }: PlanItem): boolean => kind === 'database' && action === 'create'
