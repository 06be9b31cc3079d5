/** Attestors, as operators configure them. */
import { refuse } from '../errors.ts'
import { newId } from '../names/id.ts'
import { parsePrefix, prefixesOverlap } from '../names/spiffe-id.ts'
import { isUniqueViolation } from '../store/database.ts'
import { insertAttestor } from '../store/registrations.ts'
import type { AttestorRow } from '../store/rows.ts'
import { json } from './request.ts'
import type { ChangeState } from './route.ts'

export type AttestorRouteParts = { randomBytes: (size: number) => Buffer }

type AttestorBody = {
  name: string
  kind: string
  issuer?: string
  audience?: string
  spiffeIdPrefix?: string
} & Record<string, unknown>

export function createAttestorRoutes({ randomBytes }: AttestorRouteParts): { create: ChangeState } {
  return {
    async create({ body }, tx, snapshot) {
      const definition = body as AttestorBody
      const prefix = parsePrefix(definition.spiffeIdPrefix ?? `/${definition.name}/`)
      for (const other of snapshot.attestors.values()) {
        if (prefixesOverlap(prefix, other.spiffeIdPrefix)) {
          throw refuse('conflict', { detail: `the prefix overlaps that of attestor ${other.name}` })
        }
      }
      const row: AttestorRow = {
        id: newId('att', randomBytes),
        name: definition.name,
        kind: definition.kind,
        ...(definition.issuer !== undefined && { issuer: definition.issuer }),
        ...(definition.audience !== undefined && { audience: definition.audience }),
        spiffeIdPrefix: prefix,
        definition,
        revision: 1,
      }
      try {
        await insertAttestor(tx, row)
      } catch (error) {
        if (isUniqueViolation(error)) throw refuse('already_exists')
        throw error
      }
      return {
        reply: json({ id: row.id, revision: 1, ...definition, spiffeIdPrefix: prefix }, { status: 201 }),
        entry: {
          resource: { kind: 'attestor', id: row.id, name: row.name, revision: 1 },
          change: { after: definition },
        },
        changed: [{ table: 'attestor', where: { id: row.id } }],
      }
    },
  }
}
