/** Every live value: whether it opens, and where a rotator made it, whether it still opens its target. */
import { openData, type SecretData } from '../../secrets/value.ts'
import type { Offline } from '../../start/open-offline.ts'
import { type RestoredSecret, restoredSecrets } from '../../store/backup.ts'
import { readVersions } from '../../store/secret-versions.ts'
import { type Finding, fail, note, ok, skipped, some } from '../doctor/finding.ts'

/** Tries a value at its target; nothing where its rotator has no way to. @throws where it can't be found out */
export type Works = (asked: {
  kind: string
  definition: unknown
  path: string
  data: SecretData
}) => Promise<boolean | undefined>

const page = 200
const day = 24 * 3600_000
const max = 20

type Seen = { opened: number; lost: string[]; behind: string[]; tried: string[]; dead: string[]; untried: string[] }

export async function lookAtValues(offline: Offline, parts: { since: Date; works?: Works }): Promise<Finding[]> {
  const { db } = offline
  const seen: Seen = { opened: 0, lost: [], behind: [], tried: [], dead: [], untried: [] }
  for (let after = ''; ;) {
    const secrets = await restoredSecrets(db.knex, after, page)
    const rows = await readVersions(
      db.knex,
      secrets.map(({ id, version }) => ({ secretId: id, version })),
    )
    const byId = new Map(rows.map((row) => [row.secretId, row]))
    for (const secret of secrets) {
      const row = byId.get(secret.id)
      if (secret.updatedAt.getTime() > parts.since.getTime() - day) seen.behind.push(secret.path)
      if (!row?.sealed || row.deletedAt) continue
      const data = opened(offline, secret, row)
      if (data) seen.opened++
      else seen.lost.push(secret.path)
      if (data && secret.rotator !== undefined) await tryOne(secret, data, parts.works, seen)
    }
    const last = secrets.at(-1)
    if (!last || secrets.length < page) return findingsOf(seen)
    after = last.path
  }
}

function opened(
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

async function tryOne(secret: RestoredSecret, data: SecretData, works: Works | undefined, seen: Seen): Promise<void> {
  const { path, rotator: kind = '', definition } = secret
  // What went wrong may quote what was tried: it counts as not tried.
  const answer = await works?.({ kind, definition, path, data }).catch(() => undefined)
  if (answer === undefined) seen.untried.push(`${path} (${kind})`)
  else if (answer) seen.tried.push(path)
  else seen.dead.push(path)
}

function findingsOf({ opened: count, lost, behind, tried, dead, untried }: Seen): Finding[] {
  const findings: Finding[] = []
  if (lost.length > 0) {
    findings.push(
      fail('values', `${lost.length} do not open: ${some(lost, max)}`, {
        why: 'their rows were changed, or the wrapping key that they are under is not in this database',
        do: 'put a new version of each: purser secret put',
      }),
    )
  } else findings.push(ok('values', `${count} live values open with this root key`))
  if (dead.length > 0) {
    findings.push(
      fail('rotators', `${dead.length} live values open their target no more: ${some(dead, max)}`, {
        why: 'they were rotated in the lost time: the target has a newer one, which is not here',
        do: 'rotate each again (purser secret rotate), or put the value that the target has',
      }),
    )
  }
  if (tried.length > 0) findings.push(ok('rotators', `${tried.length} live values open their target`))
  if (untried.length > 0) {
    findings.push(
      skipped('rotators', `${untried.length} live values were not tried at their target: ${some(untried, max)}`, {
        why: 'their rotator has no way to, or the target is not reached from here; it may have a newer one',
        do: 'try each by hand, or rotate it again: purser secret rotate',
      }),
    )
  }
  if (behind.length > 0) {
    findings.push(
      note('versions', `${behind.length} changed within a day before what was kept, or since: ${some(behind, max)}`, {
        why: 'what changes often has likely changed in the lost time too, and its next version number comes a second time',
        do: 'ask who writes them: purser secret history PATH says who that is',
      }),
    )
  }
  return findings
}
