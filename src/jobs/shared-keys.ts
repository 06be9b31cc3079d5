/**
 * An alert for a key that has live certificates of several workload entries: the key was copied. A job looks for such
 * keys, so that issuances do not pay for it.
 */
import type { EntryPart } from '../audit/entry.ts'
import { oldestLive } from '../keys/keys.ts'
import { type KeyUse, certifiedKeys, sharedKeyAlerts, usesOfKeys } from '../store/certified-keys.ts'
import type { Knex } from '../store/database.ts'
import { readJobState, tryLock, writeJobState } from '../store/jobs.ts'
import { type JobParts, changeOnce } from './once.ts'
import type { Job } from './runner.ts'

type State = { epoch: number; index: number }

/** Only this job writes it. */
const isState = (state: unknown): state is State => typeof state === 'object' && state !== null && 'index' in state

const name = 'shared-keys'
/** "pshk" in ASCII. */
const lock = 0x7073686b
const page = 1000
const maxPages = 100
const maxCertificates = 20
/**
 * Pairs of key and workload entry that were looked at, so that a key which is certified again and again isn't each
 * time.
 */
const maxRemembered = 50_000

function sharedAmong(uses: readonly KeyUse[], now: Date): Map<string, KeyUse[]> {
  const byKey = new Map<string, KeyUse[]>()
  for (const use of uses) if (use.notAfter > now) byKey.set(use.key, [...(byKey.get(use.key) ?? []), use])
  return new Map([...byKey].filter(([, live]) => new Set(live.map((use) => use.workloadId)).size > 1))
}

const alert = (key: string, uses: readonly KeyUse[]): EntryPart => ({
  resource: { kind: 'public-key', id: key },
  detail: {
    workloads: [...new Set(uses.map((use) => use.workload))].sort(),
    certificates: uses.slice(0, maxCertificates).map(({ serialNumber, workload, session }) => ({
      serialNumber,
      workload,
      session,
    })),
  },
})

/** The workloads that an earlier alert of this key names: one that adds none would only repeat it. */
async function namedBefore(tx: Knex, key: string): Promise<Set<string>> {
  return new Set((await sharedKeyAlerts(tx, key)).flat())
}

export function sharedKeys(parts: JobParts): Job {
  const { db, snapshots, now, log } = parts

  async function stateOf(tx: Knex): Promise<State> {
    const { epoch } = snapshots.current()
    const state = await readJobState(tx, name)
    return isState(state) && state.epoch === epoch ? state : { epoch, index: 0 }
  }

  const isAt = async (tx: Knex, { index }: State): Promise<boolean> => (await stateOf(tx)).index === index

  async function newAlerts(tx: Knex, shared: Map<string, KeyUse[]>): Promise<EntryPart[]> {
    const alerts: EntryPart[] = []
    for (const [key, uses] of shared) {
      const before = await namedBefore(tx, key)
      if (uses.some((use) => !before.has(use.workload))) alerts.push(alert(key, uses))
    }
    return alerts
  }

  const remembered = new Set<string>()
  const pairOf = ({ key, workloadId }: KeyUse): string => `${key} ${workloadId}`
  function remember(uses: readonly KeyUse[]): void {
    for (const use of uses) remembered.add(pairOf(use))
    for (const pair of remembered) {
      if (remembered.size <= maxRemembered) break
      remembered.delete(pair)
    }
  }

  /** Searches one page, under the lock; undefined where another replica searches. */
  const search = (): Promise<{ from: State; to: State; alerts: EntryPart[]; whole: boolean } | undefined> =>
    db.knex.transaction(async (tx) => {
      if (!(await tryLock(tx, lock))) return undefined
      const from = await stateOf(tx)
      const { uses, next } = await certifiedKeys(tx, from.epoch, from.index, page)
      const to = { ...from, index: next }
      const fresh = uses.filter((use) => !remembered.has(pairOf(use)))
      const keys = [...new Set(fresh.map((use) => use.key))]
      const earlier = await usesOfKeys(tx, keys, oldestLive(snapshots.current(), now()))
      const all = new Map([...earlier, ...fresh].map((use) => [use.serialNumber, use]))
      const alerts = await newAlerts(tx, sharedAmong([...all.values()], now()))
      if (alerts.length === 0) {
        remember(uses)
        if (next !== from.index) await writeJobState(tx, name, to)
      }
      return { from, to, alerts, whole: next - from.index === page }
    })

  /** Records nothing where another replica has gone on: it has recorded these. */
  async function recordAlerts(from: State, to: State, alerts: EntryPart[]): Promise<void> {
    const [entry, ...more] = alerts
    if (!entry) return
    const recorded = await changeOnce(parts, lock, 'key.shared', async (tx) => {
      if (!(await isAt(tx, from))) return undefined
      await writeJobState(tx, name, to)
      return { result: undefined, entry, more }
    })
    if (recorded) for (const alert of alerts) log.warn('key.shared', { fingerprint: alert.resource?.id })
  }

  return {
    name,
    everySeconds: 30,
    async run() {
      for (let pages = 0; pages < maxPages; pages++) {
        const result = await search()
        if (!result) return
        await recordAlerts(result.from, result.to, result.alerts)
        if (!result.whole) return
      }
    },
  }
}
