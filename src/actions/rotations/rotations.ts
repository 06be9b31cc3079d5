/** The actions on rotation policies and rotations. Jobs carry on what they begin (jobs/rotation.ts). */
import { boundOf } from '../../authorize/caller.ts'
import { hasSecretPath, secretRootsOf } from '../../names/bound.ts'
import { type PolicyPage, listPolicies } from '../../store/rotation-policies.ts'
import { runningRotations } from '../../store/rotations.ts'
import { findSecretById } from '../../store/secrets.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import type { Context } from '../context.ts'
import { secretAt } from '../secrets/state.ts'
import { deletePolicy } from './delete.ts'
import { createPutPolicy } from './put.ts'
import { createRollBack } from './roll-back.ts'
import { createRotate } from './rotate.ts'
import { type RotationActionParts, readRotation } from './state.ts'
import { createSteer } from './steer.ts'

export function createRotationActions(parts: RotationActionParts) {
  const { knex } = parts.db
  return {
    get: async (context: Pick<Context, 'time'>, snapshot: Snapshot, path: string) =>
      readRotation(knex, parts, await secretAt(knex, path), snapshot, context.time),
    /** That of a secret by its id; undefined where there is none. */
    find: async (context: Pick<Context, 'time'>, snapshot: Snapshot, id: string) => {
      const secret = await findSecretById(knex, id)
      return secret && readRotation(knex, parts, secret, snapshot, context.time)
    },
    /** Rotations that have not ended. */
    list: async ({ caller }: Pick<Context, 'caller'>, prefix: string) =>
      (await runningRotations(knex)).filter(
        ({ path }) => path.startsWith(prefix) && hasSecretPath(boundOf(caller), path),
      ),
    policies: ({ caller }: Pick<Context, 'caller'>, page: Omit<PolicyPage, 'prefix'>) => {
      const [prefix] = secretRootsOf(boundOf(caller))
      return prefix === undefined ? Promise.resolve([]) : listPolicies(knex, { ...page, prefix })
    },
    put: createPutPolicy(parts),
    delete: deletePolicy,
    ...createRotate(parts),
    rollBack: createRollBack(parts),
    steer: createSteer(parts),
  }
}
