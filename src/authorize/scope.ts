/**
 * The snapshot as a caller may know it. An operator with a bound gets one without the objects outside, so that every
 * look-up, list, count and suggestion by it finds nothing there. Keys, blocks and pins are not narrowed: decisions need
 * them, and keys are public.
 */
import { type Bound, hasAttestor, hasDatabase, hasSpiffeId, intersection, isWithin } from '../names/bound.ts'
import type { Match, Selectors } from '../names/selectors.ts'
import type { Workloads } from '../store/memory/workloads.ts'
import type { ApiTokenRow, OperatorRow, WorkloadRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import type { Caller, OperatorCaller } from './caller.ts'
import { workloadOf } from './entries.ts'

type Bounded = OperatorCaller & { bound: Bound }

const isBounded = (caller: Caller): caller is Bounded => caller.kind === 'operator' && caller.bound !== undefined

export function snapshotFor(caller: Caller, snapshot: Snapshot): Snapshot {
  if (!isBounded(caller)) return snapshot
  const { bound } = caller
  const attestors = filtered(snapshot.attestors, ({ name }) => hasAttestor(bound, name))
  const hasWorkload = (row: WorkloadRow): boolean =>
    attestors.has(row.attestorId) && hasSpiffeId(bound, workloadOf(row).spiffeId)
  return {
    ...snapshot,
    whole: snapshot,
    attestors,
    workloads: new ScopedWorkloads(snapshot.workloads, hasWorkload),
    databases: filtered(snapshot.databases, ({ name }) => hasDatabase(bound, name)),
    operators: filtered(snapshot.operators, (row) => hasOperator(caller, row)),
    apiTokens: filtered(snapshot.apiTokens, (row) => hasToken(caller, row, snapshot.operators.get(row.operator))),
  }
}

const hasOperator = (caller: Bounded, row: OperatorRow): boolean =>
  (!caller.session && row.name === caller.operator) || isWithin(row.bound, caller.bound)

function hasToken(caller: Bounded, row: ApiTokenRow, operator: OperatorRow | undefined): boolean {
  // An earlier token may be of an earlier operator of that name, whose bound is not known any more.
  const ownBound = operator && operator.createdAt <= row.createdAt ? operator.bound : undefined
  return (!caller.session && row.id === caller.tokenId) || isWithin(intersection(row.bound, ownBound), caller.bound)
}

const filtered = <T>(rows: ReadonlyMap<string, T>, isVisible: (row: T) => boolean): ReadonlyMap<string, T> =>
  new Map([...rows].filter(([, row]) => isVisible(row)))

/** Filters at each look-up, since there may be a hundred thousand entries. */
class ScopedWorkloads implements Workloads {
  readonly #all: Workloads
  readonly #isVisible: (row: WorkloadRow) => boolean

  constructor(all: Workloads, isVisible: (row: WorkloadRow) => boolean) {
    this.#all = all
    this.#isVisible = isVisible
  }

  get size(): number {
    return count(this.values())
  }

  get(id: string): WorkloadRow | undefined {
    return this.#visible(this.#all.get(id))
  }

  byName(name: string): WorkloadRow | undefined {
    return this.#visible(this.#all.byName(name))
  }

  values(): Iterable<WorkloadRow> {
    return this.#filter(this.#all.values())
  }

  countOf(attestorId: string): number {
    return count(this.ofAttestor(attestorId))
  }

  ofAttestor(attestorId: string): Iterable<WorkloadRow> {
    return this.#filter(this.#all.ofAttestor(attestorId))
  }

  candidates(attestorId: string, selectors: Selectors): WorkloadRow[] {
    return [...this.#filter(this.#all.candidates(attestorId, selectors))]
  }

  mayOverlap(attestorId: string, match: Match): WorkloadRow[] {
    return [...this.#filter(this.#all.mayOverlap(attestorId, match))]
  }

  inOrder(after?: string): Iterable<WorkloadRow> {
    return this.#filter(this.#all.inOrder(after))
  }

  #visible(row: WorkloadRow | undefined): WorkloadRow | undefined {
    return row && this.#isVisible(row) ? row : undefined
  }

  *#filter(rows: Iterable<WorkloadRow>): Iterable<WorkloadRow> {
    for (const row of rows) if (this.#isVisible(row)) yield row
  }
}

function count(rows: Iterable<unknown>): number {
  let size = 0
  for (const _ of rows) size++
  return size
}
