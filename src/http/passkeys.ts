/** Passkeys of an operator. */
import type { Actions } from '../actions/actions.ts'
import { rfc3339 } from '../issue/lifetime.ts'
import type { PasskeyRow } from '../store/passkeys.ts'
import { addressPrefix } from './address-prefix.ts'
import { nameOf } from './params.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json, noContent } from './request.ts'
import type { ChangeState, PrepareChange, Read } from './route-kinds.ts'
import { timeMember } from './times.ts'

type Routes = { list: Read; enrol: PrepareChange; confirm: PrepareChange; remove: ChangeState }

/** Never the key, nor the id of the credential. */
const show = ({ id, label, createdAt, lastUsedAt }: PasskeyRow) => ({
  id,
  label,
  createdAt: rfc3339(createdAt),
  ...timeMember('lastUsedAt', lastUsedAt),
})

export function createPasskeyRoutes({ passkeys }: Pick<Actions, 'passkeys'>): Routes {
  return {
    list: async (request, snapshot) =>
      json({ items: (await passkeys.list(request, snapshot, nameOf(request))).map(show) }),

    async enrol(request, snapshot) {
      const body = request.body === undefined ? {} : bodyOf(request, 'enrolPasskey')
      const proof = { ...body, operator: nameOf(request), prefix: addressPrefix(request.address) }
      const proven = await passkeys.prove(request, snapshot, proof)
      return async (_, tx, latest) =>
        rendered(await passkeys.enrol(request, tx, latest, proven), ({ options, expiresAt }) =>
          json({ publicKey: options, expiresAt: rfc3339(expiresAt) }, { status: 201 }),
        )
    },

    async confirm(request, snapshot) {
      const attestation = { ...bodyOf(request, 'confirmPasskey'), operator: nameOf(request) }
      const verified = await passkeys.verify(request, snapshot, attestation)
      return async (_, tx, latest) =>
        rendered(await passkeys.confirm(request, tx, latest, verified), (row) => json(show(row), { status: 201 }))
    },

    remove: async (request, tx, snapshot) => {
      const { id } = bodyOf(request, 'removePasskey')
      return rendered(await passkeys.remove(request, tx, snapshot, { operator: nameOf(request), id }), () => noContent)
    },
  }
}
