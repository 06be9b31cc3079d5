/** Attestors, as operators configure them. */
import { checkRevision } from '../actions/context.ts'
import type { Knex } from '../store/database.ts'
import { type Attestors, attestorRules, joinTokenKind } from '../attest/attest.ts'
import type { Change, Changed } from '../audit/record.ts'
import { checkSpiffeId } from '../authorize/check-definition.ts'
import { entriesOf } from '../authorize/entries.ts'
import { refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import { isUniqueViolation } from '../store/database.ts'
import { revocationsAt } from '../store/blocks.ts'
import { byName, insertAttestor, removeRegistration, updateAttestor } from '../store/registrations.ts'
import type { AttestorRow } from '../store/rows.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { attestorState, showAttestor } from './attestor-view.ts'
import { idempotent } from './idempotency.ts'
import { type ListParts, createPages } from './lists.ts'
import { etag, expectedRevision } from './preconditions.ts'
import { type ApiRequest, type BodyOf, type Reply, bodyOf, json, queryFor, noContent } from './request.ts'
import type { ChangeState, Issue, Read } from './route.ts'

export type AttestorRouteParts = ListParts & {
  attestors: Pick<Attestors, 'open' | 'checkDefinition'>
  randomBytes: (size: number) => Buffer
}

type Definition = BodyOf<'createAttestor'>

type Routes = Record<'list' | 'get', Read> & Record<'create' | 'replace' | 'remove', ChangeState> & { check: Issue }

export function createAttestorRoutes(parts: AttestorRouteParts): Routes {
  const { attestors, randomBytes } = parts
  const page = createPages(parts)

  function find({ params }: ApiRequest, snapshot: Snapshot): AttestorRow {
    const row = byName(snapshot.attestors, params.name ?? '')
    if (!row) throw refuse('not_found')
    return row
  }

  async function insert(definition: Definition, tx: Knex.Transaction, snapshot: Snapshot): Promise<Change<Reply>> {
    if (byName(snapshot.attestors, definition.name)) throw refuse('already_exists')
    const made = await attestors.checkDefinition(definition, snapshot)
    const row = { ...made, id: newId('att', randomBytes), revision: 1 }
    try {
      await insertAttestor(tx, row)
    } catch (error) {
      if (isUniqueViolation(error)) throw refuse('already_exists')
      throw error
    }
    return { ...written(row, 201), entry: { action: 'attestor.create', ...entryOf(row) } }
  }

  return {
    async list(request, snapshot) {
      const { managedBy } = queryFor(request, 'listAttestors')
      const rows = [...snapshot.attestors.values()].filter(
        (row) => managedBy === undefined || row.definition.managedBy === managedBy,
      )
      return page(request, snapshot, { list: 'attestors', rows, keyOf: (row) => row.name, show: showAttestor })
    },

    async get(request, snapshot) {
      const row = find(request, snapshot)
      return json(showAttestor(row), { headers: etag(row.revision) })
    },

    create: idempotent(
      parts,
      (request, tx, snapshot) => insert(bodyOf(request, 'createAttestor'), tx, snapshot),
      (id, snapshot) => {
        const row = snapshot.attestors.get(id)
        return row && showAttestor(row)
      },
    ),

    async replace(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const definition = bodyOf(request, 'replaceAttestor')
      if (definition.name !== request.params.name) throw impossible('/name', 'must be the name in the path')
      const old = byName(snapshot.attestors, definition.name)
      checkRevision(expected, old?.revision ?? 0)
      if (!old) return insert(definition, tx, snapshot)
      refuseBuiltIn(old)
      if (old.kind !== definition.kind) {
        const detail = 'an attestor keeps its kind: make another, and remove this one'
        throw refuse('conflict', { errors: [{ pointer: '/kind', detail }] })
      }
      const made = await attestors.checkDefinition(definition, snapshot, old.id)
      const row = { ...made, id: old.id, revision: old.revision + 1 }
      refuseStranded(row, snapshot)
      await updateAttestor(tx, row)
      return written(row)
    },

    async remove(request, tx, snapshot) {
      const expected = expectedRevision(request)
      const row = find(request, snapshot)
      checkRevision(expected, row.revision)
      refuseBuiltIn(row)
      const users = entriesOf(snapshot.workloads, row.id).map((entry) => entry.row.name)
      if (users.length > 0) throw refuse('in_use', { detail: `workload entries use it: ${someOf(users)}` })
      // An attestor that is made again has another id, so its instances would be others.
      const revocations = await revocationsAt(tx, row.id, request.time)
      if (revocations.length > 0)
        throw refuse('in_use', { detail: `blocks of its instances are in force; release them: ${someOf(revocations)}` })
      await removeRegistration(tx, 'attestor', row.id, request.time)
      const { resource } = entryOf(row)
      return { result: noContent, entry: { resource }, changed: at(row) }
    },

    /** Calls out, so it is no change: nothing waits for a network inside a transaction. */
    async check(request, snapshot) {
      const row = find(request, snapshot)
      const checks = row.kind === joinTokenKind ? [builtIn] : await attestors.open(row).check(request.time)
      const ok = checks.every((check) => check.ok)
      return {
        result: json({ ok, checks }),
        entry: { resource: { kind: 'attestor', id: row.id, name: row.name }, detail: { ok, checks } },
        holds: () => true,
        whileClosed: true,
      }
    },
  }
}

const builtIn = { ok: true, what: 'join tokens are kept here: there is nothing to reach' }

const impossible = (pointer: string, detail: string): Error => refuse('impossible', { errors: [{ pointer, detail }] })

function refuseBuiltIn({ kind, name }: AttestorRow): void {
  if (kind === joinTokenKind) throw refuse('conflict', { detail: `the attestor ${name} is built in` })
}

/** Under another prefix, entries would be refused at each issuance; better to say so now. */
function refuseStranded(row: AttestorRow, { workloads, trustDomain }: Snapshot): void {
  const rules = attestorRules(row)
  const stranded = entriesOf(workloads, row.id).filter(
    (entry) => checkSpiffeId(entry.spiffeId.text, rules, trustDomain).length > 0,
  )
  if (stranded.length === 0) return
  const names = someOf(stranded.map((entry) => entry.row.name))
  throw refuse('in_use', { detail: `the SPIFFE IDs of workload entries would lie outside it: ${names}` })
}

/** A few names, so that a problem stays readable. */
function someOf(names: readonly string[]): string {
  const more = names.length - 5
  return names.slice(0, 5).join(', ') + (more > 0 ? ` and ${more} more` : '')
}

const at = ({ id }: AttestorRow): Changed[] => [{ table: 'attestor', where: { id } }]

const entryOf = (row: AttestorRow) => ({
  resource: { kind: 'attestor', id: row.id, name: row.name, revision: row.revision },
  change: { after: attestorState(row) },
})

const written = (row: AttestorRow, status = 200): Change<Reply> => ({
  result: json(showAttestor(row), { status, headers: etag(row.revision) }),
  entry: entryOf(row),
  changed: at(row),
})
