/**
 * An alert for a key that has live certificates of several workload entries: somebody copied it (threats.md, C 50). Looked
 * for behind the log's head, not at each issuance.
 */
import type { EntryPart } from '../audit/entry.ts'
import type { Database, Knex } from '../store/database.ts'
import { oldestLive } from '../keys/keys.ts'
import { type KeyUse, keysCertified, sharesNamed, usesOfKeys } from '../store/issued-keys.ts'
import { readJobState, tryLock, writeJobState } from '../store/jobs.ts'
import type { Snapshots } from '../store/snapshot.ts'
import type { Log as ServerLog } from '../telemetry/log.ts'
import { type OnceParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

export type SharedKeysParts = OnceParts & {
  db: Pick<Database, 'knex'>
  snapshots: Pick<Snapshots, 'current'>
  log: Pick<ServerLog, 'warn'>
}

type State = { epoch: number; index: number }

/** Only this job writes it. */
const isState = (kept: unknown): kept is State => typeof kept === 'object' && kept !== null && 'index' in kept

const name = 'shared-keys'
/** "pshk" in ASCII. */
const lock = 0x7073686b
const page = 1000
const mostPages = 100
const mostCertificates = 20

function sharedAmong(uses: readonly KeyUse[], now: Date): Map<string, KeyUse[]> {
  const byKey = new Map<string, KeyUse[]>()
  for (const use of uses) if (use.notAfter > now) byKey.set(use.key, [...(byKey.get(use.key) ?? []), use])
  return new Map([...byKey].filter(([, live]) => new Set(live.map((use) => use.workloadId)).size > 1))
}

const alert = (key: string, uses: readonly KeyUse[]): EntryPart => ({
  resource: { kind: 'public-key', id: key },
  detail: {
    workloads: [...new Set(uses.map((use) => use.workload))].sort(),
    certificates: uses.slice(0, mostCertificates).map(({ serialNumber, workload, session }) => ({
      serialNumber,
      workload,
      session,
    })),
  },
})

/** The workloads that an earlier alert of this key names: one that adds none would only repeat it. */
async function namedBefore(tx: Knex, key: string): Promise<Set<string>> {
  return new Set((await sharesNamed(tx, key)).flat())
}

export function sharedKeys(parts: SharedKeysParts): Job {
  const { db, snapshots, now, log } = parts

  async function stateOf(tx: Knex): Promise<State> {
    const { epoch } = snapshots.current()
    const kept = await readJobState(tx, name)
    return isState(kept) && kept.epoch === epoch ? kept : { epoch, index: 0 }
  }

  const isAt = async (tx: Knex, { index }: State): Promise<boolean> => (await stateOf(tx)).index === index

  async function newAlerts(shared: Map<string, KeyUse[]>): Promise<EntryPart[]> {
    const alerts: EntryPart[] = []
    for (const [key, uses] of shared) {
      const before = await namedBefore(db.knex, key)
      if (uses.some((use) => !before.has(use.workload))) alerts.push(alert(key, uses))
    }
    return alerts
  }

  /** Where another replica moved on meanwhile, it has said what there is to say. */
  async function moveOn(from: State, to: State, alerts: EntryPart[]): Promise<void> {
    const [entry, ...more] = alerts
    if (!entry) {
      await db.knex.transaction(async (tx) => {
        if ((await tryLock(tx, lock)) && (await isAt(tx, from))) await writeJobState(tx, name, to)
      })
      return
    }
    const recorded = await changeOnce(parts, lock, 'key.shared', async (tx) => {
      if (!(await isAt(tx, from))) return undefined
      await writeJobState(tx, name, to)
      return { reply: undefined, entry, more }
    })
    if (recorded) for (const one of alerts) log.warn('key.shared', { fingerprint: one.resource?.id })
  }

  return {
    name,
    everySeconds: 30,
    async run() {
      for (let pages = 0; pages < mostPages; pages++) {
        const from = await stateOf(db.knex)
        const { keys, next } = await keysCertified(db.knex, from.epoch, from.index, page)
        if (next === from.index) return
        const known = snapshots.current()
        const uses = await usesOfKeys(db.knex, keys, oldestLive(known, now()))
        await moveOn(from, { ...from, index: next }, await newAlerts(sharedAmong(uses, now())))
        if (next - from.index < page) return
      }
    },
  }
}
