/** What a caller with a bound may know of the report of a containment. What lies outside is neither named nor counted. */
import { type Caller, boundOf } from '../../authorize/caller.ts'
import { type Bound, hasSecretPath } from '../../names/bound.ts'
import type { ItemKind } from '../../store/containment-items.ts'
import { byName } from '../../store/registrations.ts'
import { type Snapshot, wholeOf } from '../../store/snapshot.ts'
import type { NeedsHands, Report } from './report.ts'

const outside: NeedsHands = {
  kind: 'outside',
  name: 'your bound',
  reason: 'what is outside your bound was left out: ask an operator without a bound to contain the caller too',
}

/** Counts that may include what lies outside. */
const mixed: readonly ItemKind[] = ['read', 'secret', 'change']

/** @param snapshot as the caller may know it */
export function reportWithin(report: Report, { caller }: { caller: Caller }, snapshot: Snapshot): Report {
  const bound = boundOf(caller)
  if (!bound) return report
  const { counts, leases, rotating, needsHands } = report
  const visible = needsHands.filter((item) => isVisible(item, bound, snapshot))
  return {
    ...report,
    counts: new Map([...counts].filter(([kind]) => !mixed.includes(kind))),
    leases: leases.filter(({ databaseId }) => snapshot.databases.has(databaseId)),
    rotating: rotating.filter(({ path }) => hasSecretPath(bound, path)),
    needsHands: visible.length === needsHands.length ? visible : [...visible, outside],
  }
}

function isVisible({ kind, name }: NeedsHands, bound: Bound, snapshot: Snapshot): boolean {
  if (kind === 'secret') return hasSecretPath(bound, name)
  const [object = '', ...rest] = name.split('/')
  return object === 'secret' ? hasSecretPath(bound, rest.join('/')) : !isHidden(object, rest.join('/'), snapshot)
}

/** Whether there is such an object, and the caller may not know it. */
function isHidden(kind: string, name: string, snapshot: Snapshot): boolean {
  const exists = (some: Snapshot): boolean => {
    switch (kind) {
      case 'workload':
        return some.workloads.byName(name) !== undefined
      case 'operator':
      case 'api-token':
        return some.operators.has(name)
      case 'attestor':
        return byName(some.attestors, name) !== undefined
      case 'database':
        return byName(some.databases, name) !== undefined
      default:
        return false
    }
  }
  return exists(wholeOf(snapshot)) && !exists(snapshot)
}
