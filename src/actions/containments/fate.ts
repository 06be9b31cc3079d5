/** What becomes of a secret whose value a contained caller knows. */
import { type Policy, policyOf } from '../../secrets/rotation/policy.ts'
import { hasSecretPath } from '../../names/bound.ts'
import type { ContainmentRow } from '../../store/containments.ts'
import type { Knex } from '../../store/database.ts'
import { readPolicy } from '../../store/rotation-policies.ts'
import { listVersions } from '../../store/secret-versions.ts'
import { findSecret } from '../../store/secrets.ts'

export type Fate =
  | { do: 'rotate'; policy: Policy }
  | { do: 'person'; reason: string }
  /** A rotation retired every version that was read. */
  | { do: 'nothing' }

export async function fateOf(
  knex: Knex,
  path: string,
  versions: readonly number[],
  { rotate, subject }: Pick<ContainmentRow, 'rotate' | 'subject'>,
): Promise<Fate> {
  const secret = await findSecret(knex, path)
  if (!secret) return { do: 'person', reason: 'the secret was removed: end its value where it is used' }
  const retired = new Set(
    (await listVersions(knex, secret.id)).flatMap(({ version, retiredAt }) => (retiredAt ? version : [])),
  )
  if (versions.every((version) => retired.has(version))) return { do: 'nothing' }
  if (!rotate) return { do: 'person', reason: 'the containment was created without rotations' }
  if (!hasSecretPath(subject.bound, path)) {
    return { do: 'person', reason: 'it is outside the bound of who contained: contain again without a bound' }
  }
  const policy = await readPolicy(knex, secret.id)
  if (policy) return { do: 'rotate', policy: policyOf(policy) }
  return { do: 'person', reason: 'it has no rotation policy: replace its value where it is used, then write it' }
}
