/**
 * Streams of a watch under a controlled clock: what ends them, what keeps them open, and that they release
 * everything.
 */
import { beforeEach, describe, expect, it, onTestFinished, vi } from 'vitest'
import type { SecretFeed } from '../../src/actions/watch/feed.ts'
import { createWatches, type Watches } from '../../src/actions/watch/watches.ts'
import type { Watcher } from '../../src/actions/watch/stream.ts'
import { showEvents } from '../../src/http/watch-events.ts'
import type { Database } from '../../src/store/database.ts'
import type { SecretChange } from '../../src/store/secret-changes.ts'
import { BlockTable } from '../../src/store/memory/blocks.ts'
import { PinTable } from '../../src/store/memory/pins.ts'
import { WorkloadTable } from '../../src/store/memory/workloads.ts'
import type { Snapshot, SnapshotUpdate } from '../../src/store/snapshot.ts'

let at: Snapshot
let age: number
let hear: (update: SnapshotUpdate) => void
let watches: Watches

/** The operator's token was removed. */
function removeToken(): void {
  const previous = at
  at = { ...at, revision: at.revision + 1, apiTokens: new Map() }
  hear({ next: at, previous, rows: { apiTokens: [['tok_1', undefined]] } })
}

let position: number
let secrets: Map<string, SecretChange>
let hearChanges: (changes: readonly SecretChange[]) => void

const secretAt = (path: string, version: number): SecretChange => ({
  path,
  changed: position,
  live: { version, revision: version },
})

/** One change of these secrets. */
function write(...versions: [path: string, version: number][]): void {
  position++
  const changes = versions.map(([path, version]) => secretAt(path, version))
  for (const change of changes) secrets.set(change.path, change)
  hearChanges(changes)
}

beforeEach(() => {
  vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval', 'Date'] })
  onTestFinished(() => void vi.useRealTimers())
  age = 0
  const token = {
    id: 'tok_1',
    hash: '',
    operator: 'admin',
    role: 'admin',
    createdAt: new Date(),
    expiresAt: new Date(Date.now() + 3_600_000),
    used: true,
  } as const
  const operator = {
    id: 'op_1',
    name: 'admin',
    role: 'admin',
    disabled: false,
    revision: 1,
    createdAt: new Date(),
    updatedAt: new Date(),
  } as const
  at = {
    instanceId: 'i',
    trustDomain: 'example.org',
    issuer: 'https://purser.example.org',
    epoch: 1,
    size: 1,
    revision: 5,
    issuing: true,
    attestors: new Map(),
    workloads: new WorkloadTable(),
    pins: new PinTable(),
    blocks: new BlockTable(),
    apiTokens: new Map([['tok_1', token]]),
    operators: new Map([['admin', operator]]),
    keys: new Map(),
    databases: new Map(),
  }
  const knex = (() => {
    throw new Error('the database is not asked here')
  }) as unknown as Database['knex']
  position = 5
  secrets = new Map([['a', secretAt('a', 1)]])
  // A feed without a database.
  const feed: SecretFeed = {
    position: () => position,
    catchUp: () => Promise.resolve(),
    live: ({ paths, prefix }) =>
      Promise.resolve([...secrets.values()].filter(({ path }) => paths.includes(path) || prefix !== undefined)),
    changedSince: () => Promise.resolve([]),
    onChanges: (listener) => (hearChanges = listener),
    start: () => undefined,
    pause: () => undefined,
    stop: () => undefined,
  }
  watches = createWatches({
    db: { knex },
    feed,
    snapshots: {
      current: () => at,
      age: () => age,
      onChange: (listener) => (hear = listener),
    },
    now: () => new Date(),
    config: { maxConnections: 10, workers: 1 },
    onError: () => undefined,
  })
  onTestFinished(() => watches.close())
})

const admin = {
  kind: 'operator',
  operator: 'admin',
  role: 'admin',
  operatorRole: 'admin',
  revision: 1,
  tokenId: 'tok_1',
  firstUse: false,
} as const

function open(more: Partial<Watcher> = {}) {
  const { events, ...live } = watches.open({ holder: 'operator:admin', caller: admin, paths: ['a'], ...more })
  const chunks: string[] = []
  let isOver = false
  const stream = showEvents(events)
  const reading = (async () => {
    for await (const chunk of stream) chunks.push(chunk)
    isOver = true
  })()
  return { chunks, reading, live, stream, isOver: () => isOver }
}

const settle = (): Promise<void> => new Promise((resolve) => setImmediate(() => setImmediate(resolve)))

describe('a stream', () => {
  it('begins with the state, announces changes by name, and sends a comment every 15 seconds', async () => {
    const object = open()
    await settle()
    expect(object.chunks.join('')).toBe(
      ': purser\nretry: 1000\n\nevent: bundle\ndata: {"sequence":0}\n\nevent: secret\ndata: {"path":"a","version":1,"revision":1}\n\nevent: synced\nid: 1.5\ndata: {"complete":true}\n\n',
    )
    write(['a', 2], ['b', 1])
    await settle()
    expect(object.chunks.at(-1)).toBe('event: secret\nid: 1.6\ndata: {"path":"a","version":2,"revision":2}\n\n')
    const { length } = object.chunks
    vi.advanceTimersByTime(14_000)
    await settle()
    expect(object.chunks).toHaveLength(length)
    vi.advanceTimersByTime(2_000)
    await settle()
    expect(object.chunks.slice(length)).toEqual([':\n\n'])
  })

  it.each([
    ['the replica is behind', () => (age = 3_001)],
    ['the process stops', () => watches.close()],
    ['the token ends', () => vi.setSystemTime(Date.now() + 3_600_001)],
  ])('ends without an event when %s, and is no longer counted', async (_, cause) => {
    const object = open({ until: new Date(Date.now() + 3_600_000) })
    await settle()
    expect([watches.count(), watches.isWatching('operator:admin', 'a')]).toEqual([1, true])
    cause()
    vi.advanceTimersByTime(1_000)
    await settle()
    expect([object.isOver(), watches.count(), watches.isWatching('operator:admin', 'a')]).toEqual([true, 0, false])
    expect(object.chunks.join('')).not.toContain('revoked')
  })

  it('survives a replica that lags for a moment', async () => {
    const object = open()
    await settle()
    age = 2_500
    vi.advanceTimersByTime(1_000)
    await settle()
    expect(object.isOver()).toBe(false)
  })

  it('ends with an event when its token is revoked, and when a new epoch begins', async () => {
    const [object, two] = [open(), open()]
    await settle()
    removeToken()
    await Promise.all([object.reading, two.reading])
    expect(object.chunks.at(-1)).toBe('event: revoked\ndata: {"reason":"credential"}\n\n')
    removeToken()
    expect(watches.count()).toBe(0)
  })

  it('is cut once its reader has accepted nothing for ten seconds', async () => {
    const { events, cut } = watches.open({ holder: 'operator:admin', caller: admin, paths: ['a'] })
    const iterator = events[Symbol.asyncIterator]()
    await iterator.next()
    vi.advanceTimersByTime(9_000)
    expect(cut.aborted).toBe(false)
    vi.advanceTimersByTime(2_000)
    expect(cut.aborted).toBe(true)
    await iterator.return?.(undefined)
    expect(watches.count()).toBe(0)
  })

  it('counts only after its reply was sent; beyond the limit none is admitted, and a closed one makes room', async () => {
    for (let n = 0; n < 100; n++) watches.open({ holder: `operator:${n}`, caller: admin, paths: ['a'] })
    expect(watches.count()).toBe(0)
    const all = Array.from({ length: 5 }, (_, n) => open({ holder: `operator:${n}` }))
    await settle()
    expect(() => watches.admit('operator:x')).toThrow(expect.objectContaining({ code: 'rate_limited' }))
    all[0]?.live.close()
    await settle()
    expect(() => watches.admit('operator:x')).not.toThrow()
    watches.close()
    expect(() => watches.admit('operator:x')).toThrow(expect.objectContaining({ code: 'unavailable' }))
  })

  it('of a slow reader delivers only the current state, once, however many changes came meanwhile', async () => {
    const { events } = watches.open({ holder: 'operator:admin', caller: admin, paths: [], prefix: '' })
    const iterator = showEvents(events)
    await iterator.next()
    await iterator.next()
    for (let version = 2; version < 50; version++) write(['a', version])
    const { value } = (await iterator.next()) as { value: string }
    expect(value).toBe('event: secret\nid: 1.53\ndata: {"path":"a","version":49,"revision":49}\n\n')
    await iterator.return(undefined)
  })
})
