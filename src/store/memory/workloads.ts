/** The workload entries in memory: by id, by name, and by what a caller must be to match one. */
import { MatchIndex } from '../../names/match-index.ts'
import type { Match, Selectors } from '../../names/selectors.ts'
import type { WorkloadRow } from '../rows.ts'
import { SortedNames } from './sorted-names.ts'

/** The entries of one attestor. */
type AttestorEntries = { ids: Set<string>; index: MatchIndex }

/** The request that stored a definition validated it. */
const isMatch = (value: unknown): value is Match => typeof value === 'object' && value !== null
const matchOf = ({ definition: { match } }: WorkloadRow): Match => (isMatch(match) ? match : {})

/** What readers of a snapshot see. */
export type Workloads = Pick<
  WorkloadTable,
  'get' | 'byName' | 'size' | 'values' | 'countOf' | 'ofAttestor' | 'candidates' | 'mayOverlap' | 'inOrder'
>

export class WorkloadTable {
  readonly #rows = new Map<string, WorkloadRow>()
  readonly #idByName = new Map<string, string>()
  readonly #byAttestor = new Map<string, AttestorEntries>()
  /** From the first list on: a start needs no order. */
  #names: SortedNames | undefined

  get size(): number {
    return this.#rows.size
  }

  get(id: string): WorkloadRow | undefined {
    return this.#rows.get(id)
  }

  byName(name: string): WorkloadRow | undefined {
    return this.#rows.get(this.#idByName.get(name) ?? '')
  }

  values(): Iterable<WorkloadRow> {
    return this.#rows.values()
  }

  countOf(attestorId: string): number {
    return this.#byAttestor.get(attestorId)?.ids.size ?? 0
  }

  *ofAttestor(attestorId: string): Iterable<WorkloadRow> {
    for (const id of this.#byAttestor.get(attestorId)?.ids ?? []) yield* this.#existing(id)
  }

  /** In the order of their names: all entries that the selectors match, and some that they do not. */
  candidates(attestorId: string, selectors: Selectors): WorkloadRow[] {
    return this.#named(this.#byAttestor.get(attestorId)?.index.candidates(selectors))
  }

  /** In the order of their names: all entries that an instance can match that matches `match`, and some others. */
  mayOverlap(attestorId: string, match: Match): WorkloadRow[] {
    return this.#named(this.#byAttestor.get(attestorId)?.index.mayOverlap(match))
  }

  /** In the order of their names, after a name. */
  *inOrder(after?: string): Iterable<WorkloadRow> {
    this.#names ??= new SortedNames(this.#idByName.keys())
    for (const name of this.#names.after(after)) yield* this.#existing(this.#idByName.get(name) ?? '')
  }

  set(row: WorkloadRow): void {
    this.delete(row.id)
    this.#rows.set(row.id, row)
    // A deleted entry may have the same name, and its row may come after this one.
    if (!this.#idByName.has(row.name)) this.#names?.add(row.name)
    this.#idByName.set(row.name, row.id)
    const entries = this.#byAttestor.get(row.attestorId) ?? { ids: new Set(), index: new MatchIndex() }
    this.#byAttestor.set(row.attestorId, entries)
    entries.ids.add(row.id)
    entries.index.add(row.id, matchOf(row))
  }

  delete(id: string): void {
    const row = this.#rows.get(id)
    if (!row) return
    this.#rows.delete(id)
    // Another entry may have the name already.
    if (this.#idByName.get(row.name) === id) {
      this.#idByName.delete(row.name)
      this.#names?.delete(row.name)
    }
    const entries = this.#byAttestor.get(row.attestorId)
    entries?.ids.delete(id)
    entries?.index.delete(id, matchOf(row))
    if (entries?.ids.size === 0) this.#byAttestor.delete(row.attestorId)
  }

  #named(ids: Iterable<string> = []): WorkloadRow[] {
    return [...ids].flatMap((id) => this.#existing(id)).toSorted((a, b) => (a.name < b.name ? -1 : 1))
  }

  #existing(id: string): WorkloadRow[] {
    const row = this.#rows.get(id)
    return row ? [row] : []
  }
}
