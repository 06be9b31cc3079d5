/** What has to change so that the server has what the files declare. */
import { CliError, exitCodes, usageError } from '../io.ts'
import type { Definition } from '../documents.ts'
import { type MemberChange, differences } from './differences.ts'
import { type KindName, type ObjectName, completed, isOptional, keyOf, kindNames } from './kinds.ts'
import { type Live, type Objects, readObjects } from './live.ts'
import type { Declared } from './read.ts'

export type Action = 'create' | 'change' | 'delete' | 'unchanged'

/** `revision` and `id` are those that the server had: 0 and none for an object that is created. */
export type PlanItem = ObjectName & {
  action: Action
  revision: number
  id?: string
  /** The definition to write. */
  spec?: Definition
  /** Of a change. */
  changes?: MemberChange[]
}

export type Plan = {
  /** In the order in which they are written. */
  items: PlanItem[]
  /** Objects of the owner that no file declares and that stay, since nothing is pruned. */
  undeclared: number
}

export type PlanOptions = {
  owner: string | undefined
  /** Delete what the owner manages and no file declares. */
  prune: boolean
  /** Take over what another manages. */
  adopt: boolean
}

export async function createPlan(
  objects: Objects,
  declared: readonly Declared[],
  { owner, prune, adopt }: PlanOptions,
  onRead: () => void,
): Promise<Plan> {
  const items: PlanItem[] = []
  const removals: PlanItem[] = []
  const faults: string[] = []
  let undeclared = 0
  for (const kind of kindNames) {
    const ofKind = declaredOf(kind, declared)
    if (isOptional(kind) && ofKind.length === 0) continue
    const own = new Map<string, Live>()
    if (owner !== undefined) for await (const live of objects[kind].list(owner)) own.set(live.name, live)
    const others = ofKind.flatMap(({ name }) => (own.has(name) ? [] : [name]))
    const liveByName = new Map([...own, ...(await readObjects(objects[kind], others, onRead))])
    for (const object of ofKind) {
      const live = liveByName.get(object.name)
      own.delete(object.name)
      const fault = adopt ? undefined : faultOfManager(object, live)
      if (fault === undefined) items.push(itemOf(object, live))
      else faults.push(`${object.place}: ${fault}`)
    }
    if (prune) removals.unshift(...[...own.values()].map(removalOf))
    else undeclared += own.size
  }
  if (faults.length > 0) throw usageError(faults.slice(0, 20).join('\n'))
  return { items: [...items, ...removals], undeclared }
}

/** By name, so that a plan does not depend on the order of the files. */
const declaredOf = (kind: KindName, declared: readonly Declared[]): Declared[] =>
  declared.filter((object) => object.kind === kind).toSorted((a, b) => (a.name < b.name ? -1 : 1))

function itemOf({ kind, name, spec }: Declared, live: Live | undefined): PlanItem {
  if (!live) return { kind, name, action: 'create', revision: 0, spec }
  const { revision, id } = live
  const existing = { kind, name, revision, ...(id !== undefined && { id }) }
  const changes = differences(live.spec, completed({ kind, name }, spec, live.spec))
  return changes.length === 0 ? { ...existing, action: 'unchanged' } : { ...existing, action: 'change', spec, changes }
}

const removalOf = ({ kind, name, revision, id }: Live): PlanItem => ({
  kind,
  name,
  action: 'delete',
  revision,
  ...(id !== undefined && { id }),
})

function faultOfManager({ kind, name, spec }: Declared, live: Live | undefined): string | undefined {
  const manager = live?.spec.managedBy
  if (manager === undefined || manager === spec.managedBy) return undefined
  return `${kind} ${name} is managed by ${JSON.stringify(manager)}: change it there, or take it over with --adopt`
}

/**
 * Compares the server with a plan that was made before, the objects that stay included: what was reviewed is what holds.
 * @throws CliError when an object is another one than then, or has another revision
 */
export async function checkUnmoved(objects: Objects, items: readonly PlanItem[], onRead: () => void): Promise<void> {
  const changes: string[] = []
  const liveByKey = new Map<string, Live>()
  for (const kind of kindNames) {
    const names = items.flatMap((item) => (item.kind === kind ? [item.name] : []))
    for (const live of (await readObjects(objects[kind], names, onRead)).values()) liveByKey.set(keyOf(live), live)
  }
  for (const item of items) {
    const live = liveByKey.get(keyOf(item))
    if (live?.id === item.id && (live?.revision ?? 0) === item.revision) continue
    const now = live ? `has revision ${live.revision}` : 'does not exist'
    changes.push(`${keyOf(item)} ${now}, the plan was made for ${item.revision || 'none'}`)
  }
  if (changes.length === 0) return
  const few = changes.slice(0, 20).join('\n  ')
  throw staleError(`the plan is out of date, and nothing was done: make a new one\n  ${few}`)
}

const staleError = (message: string): CliError => new CliError(message, exitCodes.refused, 'stale')
