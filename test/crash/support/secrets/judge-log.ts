/** Compares the tables of rotations, leases and consumers with the log. */
import type { Knex } from '../../../../src/store/database.ts'
import type { Entry } from '../judge.ts'

type Rotation = { id: string; path: string; state: string; to_version: number }

const detailOf = (entry: Entry, name: string): unknown => entry.detail?.[name]
const ids = (list: unknown): number[] => (Array.isArray(list) ? list.map(Number) : [])

/** The entries that record a step of a rotation. */
function stepsOf(log: readonly Entry[], id: string) {
  const mine = log.filter((entry) => detailOf(entry, 'rotation') === id)
  const completed = mine.filter((entry) => entry.outcome === 'completed')
  return {
    begun: mine.filter((entry) => entry.outcome === 'intended' && detailOf(entry, 'toVersion') !== undefined),
    live: completed.filter((entry) => entry.action === 'secret.rotate'),
    ending: mine.filter((entry) => entry.action === 'secret.retire' && entry.outcome === 'intended'),
    ended: completed.filter((entry) => entry.action === 'secret.retire'),
    held: mine.filter((entry) => detailOf(entry, 'do') === 'hold'),
    failed: mine.filter((entry) => detailOf(entry, 'do') === 'cancel' || detailOf(entry, 'state') === 'failed'),
    rolledBack: log.filter((entry) => detailOf(entry, 'rolledBack') === id),
  }
}

async function judgeRotations(knex: Knex, log: readonly Entry[]): Promise<string[]> {
  const problems: string[] = []
  const rows: Rotation[] = await knex('rotation as r')
    .join('secret as s', 's.id', 'r.secret_id')
    .select('r.id', 's.path', 'r.state', 'r.to_version')
  for (const { id, path, state, to_version: version } of rows) {
    const { begun, live, ending, ended, held, failed, rolledBack } = stepsOf(log, id)
    const say = (text: string): void => void problems.push(`rotation ${id} of ${path} is ${state}: ${text}`)
    if (begun.length !== 1) say(`it began ${begun.length} times`)
    if (live.length > 1 || live.some((entry) => detailOf(entry, 'version') !== version)) say('it went live otherwise')
    if (ended.length > 1) say('it ended the versions before more than once')
    if (ending.length > 0 && ended.length === 0) say('an end was intended, and nothing follows')
    const complete = { retired: live.length + ended.length === 2, held: live.length === 1 && held.length > 0 }
    if (state === 'retired' && !complete.retired) say('the log does not say so')
    if (state === 'held' && !complete.held) say('the log does not say so')
    if (state === 'failed' && (live.length > 0 || failed.length === 0)) say('the log does not say so')
    if (state === 'rolled_back' && (live.length !== 1 || rolledBack.length !== 1)) say('the log does not say so')
    if (!['retired', 'held', 'failed', 'rolled_back'].includes(state)) say('that is no stated state')
  }
  const rotationIds = new Set(rows.map((row) => row.id))
  for (const entry of log)
    if (detailOf(entry, 'toVersion') !== undefined && !rotationIds.has(String(detailOf(entry, 'rotation'))))
      problems.push(`entry ${entry.index} began a rotation that is not there`)
  return problems
}

async function judgeVersions(knex: Knex, log: readonly Entry[]): Promise<string[]> {
  const problems: string[] = []
  const secrets: { id: string; path: string; version: number }[] = await knex('secret')
  const versions: { secret_id: string; version: number; retired_at: Date | null }[] = await knex('secret_version')
  for (const { id, path, version } of secrets) {
    const mine = log.filter((entry) => entry.resource?.id === id)
    const live = mine.flatMap((entry): number[] => {
      if (entry.action === 'secret.rotate' && entry.outcome === 'completed') return [Number(detailOf(entry, 'version'))]
      const after = entry.change as { after?: { version?: number } } | undefined
      return entry.action === 'secret.put' && entry.outcome === 'granted' ? [Number(after?.after?.version)] : []
    })
    if (live.at(-1) !== version) problems.push(`${path} is at version ${version}, the log at ${live.at(-1)}`)
    const loggedVersions = mine.flatMap((entry) =>
      entry.action === 'secret.retire' && entry.outcome === 'completed' ? ids(detailOf(entry, 'versions')) : [],
    )
    const rows = versions.filter((row) => row.secret_id === id && row.retired_at).map((row) => row.version)
    const [retiredText, loggedText] = [rows, loggedVersions].map((list) => list.toSorted((a, b) => a - b).join(', '))
    if (retiredText !== loggedText)
      problems.push(`${path}: versions ${retiredText} are retired, and the log says ${loggedText}`)
  }
  return problems
}

/** The table has exactly one row for each session and version that an entry names. */
async function judgeConsumers(knex: Knex, log: readonly Entry[]): Promise<string[]> {
  const secrets: { id: string; path: string }[] = await knex('secret')
  const idOf = new Map(secrets.map(({ id, path }) => [path, id]))
  const key = (secret: string, version: number, holder: string): string => `${secret} ${version} ${holder}`
  const loggedConsumers = new Set(
    log
      .filter((entry) => entry.outcome === 'granted')
      .flatMap(({ actor, issued }) =>
        (issued?.secrets ?? []).map(({ path, version }) =>
          key(idOf.get(path) ?? path, version, actor.session ?? `operator:${actor.operator}`),
        ),
      ),
  )
  const rows: { secret_id: string; version: number; holder: string; acked_at: Date | null }[] =
    await knex('secret_consumer')
  const storedConsumers = new Set(rows.map((row) => key(row.secret_id, row.version, row.holder)))
  const acked = new Set(
    log
      .filter((entry) => entry.action === 'secret.ack' && entry.outcome === 'granted')
      .map(({ resource, actor, detail }) => key(resource?.id ?? '', Number(detail?.['version']), actor.session ?? '')),
  )
  const acknowledged = rows.filter((row) => row.acked_at).map((row) => key(row.secret_id, row.version, row.holder))
  return [
    ...[...loggedConsumers]
      .filter((item) => !storedConsumers.has(item))
      .map((item) => `the log says that it was read, no consumer: ${item}`),
    ...[...storedConsumers]
      .filter((item) => !loggedConsumers.has(item))
      .map((item) => `a consumer that is in no entry: ${item}`),
    ...acknowledged.filter((item) => !acked.has(item)).map((item) => `acknowledged, in no entry: ${item}`),
    ...[...acked]
      .filter((item) => !acknowledged.includes(item))
      .map((item) => `an entry acknowledges, no consumer does: ${item}`),
  ]
}

async function judgeLeases(knex: Knex, log: readonly Entry[]): Promise<string[]> {
  const problems: string[] = []
  const rows: { id: string; state: string }[] = await knex('lease').select('id', 'state')
  const about = new Map<string, Entry[]>()
  for (const entry of log) {
    const leaseIds = entry.issued?.leases?.map((lease) => lease.id) ?? []
    if (entry.resource?.kind === 'lease') leaseIds.push(entry.resource.id)
    for (const id of leaseIds) about.set(id, [...(about.get(id) ?? []), entry])
  }
  for (const { id, state } of rows) {
    const mine = about.get(id) ?? []
    const at = (action: string, outcome: string): number =>
      mine.findIndex((entry) => entry.action === action && entry.outcome === outcome)
    const [intended, granted] = [at('lease.issue', 'intended'), at('credentials.issue', 'granted')]
    const [intentIndex, endIndex] = [at('lease.revoke', 'intended'), at('lease.revoke', 'completed')]
    const failed = at('lease.issue', 'failed')
    const say = (text: string): void => void problems.push(`lease ${id} is ${state}: ${text}`)
    if (intended !== 0) say('no entry intended it first')
    if (state === 'active' && (granted < 0 || intentIndex >= 0)) say('the log does not say so')
    if (state === 'revoked' && (endIndex < 0 || (intentIndex < 0 && failed < 0))) say('the log does not say so')
    if (state !== 'active' && state !== 'revoked') say('that is no stated state')
    for (const entry of mine.filter((entry) => entry.action === 'lease.renew' && entry.outcome === 'intended')) {
      const after = mine.filter((item) => item.index > entry.index && item.action === 'lease.renew')
      if (!after.some((entry) => entry.outcome === 'completed' || entry.outcome === 'failed'))
        say(`its renewal of entry ${entry.index} was intended, and nothing follows`)
    }
  }
  const leaseIds = new Set(rows.map((row) => row.id))
  for (const id of about.keys()) if (!leaseIds.has(id)) problems.push(`lease ${id} is in the log alone`)
  return problems
}

/** The outcome of each intent, recorded by the same request, or by the replica that continued its rotation or lease. */
async function judgeIntents(_: Knex, log: readonly Entry[]): Promise<string[]> {
  const subjectsOf = (entry: Entry): string[] => [
    entry.requestId,
    ...(entry.resource?.kind === 'lease' ? [entry.resource.id] : []),
    ...(entry.issued?.leases ?? []).map((lease) => lease.id),
    ...(typeof detailOf(entry, 'rotation') === 'string' ? [String(detailOf(entry, 'rotation'))] : []),
  ]
  const last = new Map<string, number>()
  for (const entry of log) {
    const isImmediate = entry.issued?.leases !== undefined || detailOf(entry, 'do') === 'cancel'
    const isEnd =
      entry.outcome === 'completed' || entry.outcome === 'failed' || (entry.outcome === 'granted' && isImmediate)
    if (isEnd) for (const item of subjectsOf(entry)) last.set(item, entry.index)
  }
  return log
    .filter((entry) => entry.outcome === 'intended')
    .filter((entry) => !subjectsOf(entry).some((item) => (last.get(item) ?? -1) > entry.index))
    .map((entry) => `entry ${entry.index} intended ${entry.action}, and nothing follows`)
}

/** Checks of the log alone: its order, and the outcome of each intent. */
export async function judgeSecretLog(knex: Knex, log: readonly Entry[]): Promise<string[]> {
  const judged = [judgeIntents, judgeRotations, judgeVersions, judgeConsumers, judgeLeases]
  return (await Promise.all(judged.map((intents) => intents(knex, log)))).flat()
}
