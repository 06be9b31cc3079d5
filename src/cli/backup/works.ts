/** Tries stored credentials at their targets, for the check of a restored database. */
import type { Offline } from '../../start/open-offline.ts'
import { createRandomBytes } from '../../start/random.ts'
import { asAdmin } from '../../secrets/databases/admin.ts'
import { type TargetFault, targetError } from '../../secrets/databases/target-error.ts'
import { postgres } from '../../secrets/rotators/postgres.ts'
import type { RotatorConfig } from '../../secrets/rotators/rotator.ts'
import { openSnapshots } from '../../store/snapshot.ts'
import type { Works } from './values.ts'

const isConfig = (value: unknown): value is RotatorConfig =>
  typeof value === 'object' && value !== null && 'kind' in value && typeof value.kind === 'string'

/** The rotator's configuration in a policy. */
const rotatorOf = (definition: unknown): RotatorConfig | undefined =>
  typeof definition === 'object' && definition !== null && 'rotator' in definition && isConfig(definition.rotator)
    ? definition.rotator
    : undefined

/** Each configured database, and why its administrator cannot log in. */
export type Admins = () => Promise<{ name: string; fault?: TargetFault }[]>

/** Only the postgres rotator can try a value: a webhook only accepts values, and generated values have no target. */
export async function withWorks<T>(
  { db, keyring }: Offline,
  work: (works: Works, admins: Admins) => Promise<T>,
): Promise<T> {
  const snapshots = await openSnapshots(db, { now: Date.now, onError: () => undefined })
  const rotator = postgres({ db, keyring, snapshots, randomBytes: createRandomBytes() })
  const works: Works = async ({ definition, path, data }) => {
    const config = rotatorOf(definition)
    return config?.kind === rotator.kind ? rotator.works?.({ config, path, data }) : undefined
  }
  const admins: Admins = async () => {
    const databases: Awaited<ReturnType<Admins>> = []
    for (const row of snapshots.current().databases.values()) {
      const fault = await asAdmin({ db, keyring }, row, (session) => session.run('select 1')).then(
        () => undefined,
        (error: unknown) => targetError(error).fault,
      )
      databases.push({ name: row.name, ...(fault && { fault }) })
    }
    return databases
  }
  try {
    return await work(works, admins)
  } finally {
    await snapshots.stop()
  }
}
