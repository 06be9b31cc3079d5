/** Purser's actions without HTTP: a store, keys, the log, and the parts that the server connects to them. */
import { randomBytes } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { Actions } from '../../src/actions/actions.ts'
import { type Acting, type Context, actorOf } from '../../src/actions/context.ts'
import type { Action, LogEntry } from '../../src/audit/entry.ts'
import type { Change, Hints, Recorded, Recorder, Release } from '../../src/audit/record.ts'
import type { Caller } from '../../src/authorize/caller.ts'
import { readConfig } from '../../src/config.ts'
import { refusals } from '../../src/errors.ts'
import { createLimits } from '../../src/http/limits.ts'
import { newId } from '../../src/names/id.ts'
import type { RevokeRoles } from '../../src/secrets/leases/revoke.ts'
import { createClosing } from '../../src/start/closing.ts'
import { compose } from '../../src/start/compose.ts'
import { createSteps } from '../../src/start/steps.ts'
import type { Knex } from '../../src/store/database.ts'
import type { Snapshot } from '../../src/store/snapshot.ts'
import { createLogger } from '../../src/telemetry/log.ts'
import { createMetrics } from '../../src/telemetry/metrics.ts'
import { testDatabase } from './database.ts'
import { audience, trustDomain } from './purser.ts'
import { type StoreName, frontDoorStore } from './stores.ts'

export const admin: Caller = {
  kind: 'operator',
  operator: 'alice',
  role: 'admin',
  operatorRole: 'admin',
  revision: 1,
  tokenId: 'tok_alice',
  firstUse: false,
}

/** A result and its entry in the log. */
type Done<R> = { result: R; entry: LogEntry }

export type TestActions = {
  actions: Actions
  recorder: Recorder
  revokeRoles: RevokeRoles
  knex: Knex
  snapshot: () => Snapshot
  now: () => Date
  /** A request of the admin, unless `part` says otherwise. */
  context(part?: Partial<Context>): Context
  change<R>(
    action: Action,
    context: Context,
    run: (tx: Knex.Transaction, snapshot: Snapshot) => Promise<Change<R>>,
  ): Promise<Done<R>>
  issue<R>(
    action: Action,
    context: Context,
    decide: (snapshot: Snapshot, hints: Hints) => Promise<Release<R>>,
  ): Promise<Done<R>>
  act<R>(action: Action, context: Context, run: (acting: Acting) => Promise<Recorded<R>>): Promise<Done<R>>
  stop(): Promise<void>
}

export type ActionOptions = {
  store?: StoreName
  /** Further settings, by their environment names. */
  env?: Record<string, string>
  now?: () => Date
}

export async function openActions({
  store = frontDoorStore,
  env,
  now = () => new Date(),
}: ActionOptions = {}): Promise<TestActions> {
  const dataDir = await mkdtemp(join(tmpdir(), 'purser-test-'))
  const closing = createClosing()
  closing.add(() => rm(dataDir, { recursive: true, force: true }))
  const database = store === 'postgres' ? await testDatabase() : undefined
  closing.add(() => database?.drop())
  const config = readConfig({
    env: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_PUBLIC_URL: audience,
      PURSER_LISTEN: '127.0.0.1:0',
      PURSER_INSECURE_HTTP: 'loopback',
      PURSER_DATA_DIR: dataDir,
      PURSER_ROOT_KEY: randomBytes(32).toString('base64'),
      ...(database && { DATABASE_URL: database.url, PURSER_MIGRATE: 'check' }),
      ...env,
    },
    readFile: (path) => readFileSync(path, 'utf8'),
  })
  const serverLog = createLogger({ level: 'silent', stream: { write: () => undefined } })
  const limits = createLimits({ limits: config.limits, workers: 1, now: Date.now })
  const metrics = createMetrics({ routes: [], codes: Object.keys(refusals), attestorKinds: [], credentials: [] })
  const steps = createSteps()
  const product = await compose({ config, logger: serverLog, metrics, limits, now, closing, steps })
  const { actions, log, store: opened } = product
  const { db, snapshots } = opened
  const { recorder } = log

  const opening = (action: Action, { requestId, time, address, caller }: Context) => ({
    requestId,
    action,
    time,
    actor: actorOf(caller),
    source: { ip: address },
  })
  async function done<R>({ epoch, index, result }: Recorded<R>): Promise<Done<R>> {
    const row: { body: string } = await db.knex('log_entry').where({ epoch, idx: index }).first('body')
    return { result, entry: JSON.parse(row.body) as LogEntry }
  }

  return {
    actions,
    recorder,
    revokeRoles: product.secrets.revokeRoles,
    knex: db.knex,
    snapshot: () => snapshots.current(),
    now,
    context: (part) => ({
      requestId: newId('req', randomBytes),
      time: now(),
      address: '192.0.2.1',
      caller: admin,
      clientCertificate: () => undefined,
      ...part,
    }),
    change: async (action, context, run) => done(await recorder.change(opening(action, context), run)),
    issue: async (action, context, decide) => done(await recorder.grant(opening(action, context), decide)),
    async act(action, context, run) {
      const open = opening(action, context)
      const step: Acting['begin'] = (change) => recorder.change(open, change)
      return done(await run({ open, begin: step, finish: step }))
    },
    stop: () => closing.run(),
  }
}
