/** Checks every live value: whether it decrypts, and whether a rotated value still works at its target. */
import { openData, type SecretData } from '../../secrets/value.ts'
import type { Offline } from '../../start/open-offline.ts'
import { type RestoredSecret, restoredSecrets } from '../../store/backup.ts'
import { readVersions } from '../../store/secret-versions.ts'
import { type Finding, collect, fail, note, ok, skipped, some } from '../doctor/finding.ts'

/** Tries a value at its target; undefined when its rotator cannot. @throws when the target does not answer */
export type Works = (value: {
  kind: string
  definition: unknown
  path: string
  data: SecretData
}) => Promise<boolean | undefined>

const page = 200
const day = 24 * 3600_000
const max = 20

type Tally = { opened: number; lost: string[]; behind: string[]; tried: string[]; dead: string[]; untried: string[] }

export async function checkValues(offline: Offline, parts: { since: Date; works?: Works }): Promise<Finding[]> {
  const { db } = offline
  const tally: Tally = { opened: 0, lost: [], behind: [], tried: [], dead: [], untried: [] }
  for (let after = ''; ;) {
    const secrets = await restoredSecrets(db.knex, after, page)
    const rows = await readVersions(
      db.knex,
      secrets.map(({ id, version }) => ({ secretId: id, version })),
    )
    const byId = new Map(rows.map((row) => [row.secretId, row]))
    for (const secret of secrets) {
      const row = byId.get(secret.id)
      if (secret.updatedAt.getTime() > parts.since.getTime() - day) tally.behind.push(secret.path)
      if (!row?.sealed || row.deletedAt) continue
      const data = openValue(offline, secret, row)
      if (data) tally.opened++
      else tally.lost.push(secret.path)
      if (data && secret.rotator !== undefined) await tryValue(secret, data, parts.works, tally)
    }
    const last = secrets.at(-1)
    if (!last || secrets.length < page) return findingsOf(tally)
    after = last.path
  }
}

function openValue(
  { keyring }: Offline,
  secret: RestoredSecret,
  row: Parameters<typeof openData>[2],
): SecretData | undefined {
  try {
    return openData(keyring, secret, row)
  } catch {
    return undefined
  }
}

async function tryValue(
  secret: RestoredSecret,
  data: SecretData,
  works: Works | undefined,
  tally: Tally,
): Promise<void> {
  const { path, rotator: kind = '', definition } = secret
  // The error may quote the value, so it is dropped: the value counts as not tried.
  const accepted = await works?.({ kind, definition, path, data }).catch(() => undefined)
  if (accepted === undefined) tally.untried.push(`${path} (${kind})`)
  else if (accepted) tally.tried.push(path)
  else tally.dead.push(path)
}

function findingsOf({ opened: count, lost, behind, tried, dead, untried }: Tally): Finding[] {
  return collect(
    lost.length > 0
      ? fail('values', `${lost.length} do not decrypt: ${some(lost, max)}`, {
          why: 'their rows were changed, or their wrapping key is not in this database',
          do: 'write a new version of each: purser secret put',
        })
      : ok('values', `${count} live values decrypt with this root key`),
    dead.length > 0 &&
      fail('rotators', `${dead.length} live values no longer work at their target: ${some(dead, max)}`, {
        why: 'they were rotated after the backup: the target has a newer value, which is lost',
        do: 'rotate each again (purser secret rotate), or write the value that the target has',
      }),
    tried.length > 0 && ok('rotators', `${tried.length} live values work at their target`),
    untried.length > 0 &&
      skipped('rotators', `${untried.length} live values were not tried at their target: ${some(untried, max)}`, {
        why: 'their rotator cannot try values, or the target cannot be reached from here; it may have a newer value',
        do: 'try each by hand, or rotate it again: purser secret rotate',
      }),
    behind.length > 0 &&
      note('versions', `${behind.length} changed less than a day before the backup, or since: ${some(behind, max)}`, {
        why: 'they have probably changed after the backup too, and their next version number will be used twice',
        do: 'ask their writers, whom purser secret history PATH names',
      }),
  )
}
