/** Whether what is kept still opens its target, for the look through a database that was put back. */
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

/** A policy's part for its rotator. */
const rotatorOf = (definition: unknown): RotatorConfig | undefined =>
  typeof definition === 'object' && definition !== null && 'rotator' in definition && isConfig(definition.rotator)
    ? definition.rotator
    : undefined

/** Each configured database, and what keeps its administrator out. */
export type Admins = () => Promise<{ name: string; fault?: TargetFault }[]>

/** A webhook can only be told a value, not asked; what is generated opens nothing that Purser knows of. */
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
    const found: Awaited<ReturnType<Admins>> = []
    for (const row of snapshots.current().databases.values()) {
      const fault = await asAdmin({ db, keyring }, row, (session) => session.run('select 1')).then(
        () => undefined,
        (error: unknown) => targetError(error).fault,
      )
      found.push({ name: row.name, ...(fault && { fault }) })
    }
    return found
  }
  try {
    return await work(works, admins)
  } finally {
    await snapshots.stop()
  }
}
