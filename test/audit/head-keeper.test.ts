import { createHash } from 'node:crypto'
import { mkdtemp, readFile, readdir, rm, writeFile } from 'node:fs/promises'
import { type IncomingMessage, type RequestListener, type ServerResponse, createServer } from 'node:http'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseCheckpoint, parseNote } from '@purser/sdk/verify'
import { describe, expect, it, onTestFinished } from 'vitest'
import { type HeadPlace, headFile, headObject } from '../../src/audit/head-places.ts'
import { startHeadKeeper } from '../../src/audit/head-keeper.ts'
import type { Doubt } from '../../src/audit/doubt.ts'
import { createTree } from '../../src/audit/tree.ts'
import { createOutbound } from '../../src/outbound/client.ts'
import { makeLog } from '../sdk/verify/small-log.ts'

const signed = makeLog({ size: 40 })
const identity = { trustDomain: 'prod.example', epoch: 1, vkeys: signed.vkeys }
const readNothing = (): never => {
  throw new Error('nothing is read')
}
const sizeOf = (note: string): number => parseCheckpoint(parseNote(note).text).size

function treeOf(size: number) {
  const tree = createTree({ readTile: readNothing, readLeaves: readNothing })
  tree.append(signed.leaves.slice(0, size))
  return tree
}

/** The log of one process. The test moves the head of its database. */
function createProcess(size: number) {
  const tree = createTree({ readTile: readNothing, readLeaves: readNothing })
  const database = { epoch: 1, size, synchronous: false }
  let doubt: Doubt | undefined = { kind: 'unread', detail: 'new', permanent: false }
  const grow = (to: number): void => void tree.append(signed.leaves.slice(tree.size, to))
  grow(size)
  return {
    database,
    grow,
    failures: [] as string[],
    closedForAll: [] as string[],
    log: {
      epoch: () => 1,
      size: () => tree.size,
      head: () => ({ size: tree.size, note: signed.checkpoint(tree.size) }),
      signed: () => ({ size: tree.size, note: signed.checkpoint(tree.size) }),
      doubt: () => doubt,
      closed: () => doubt?.detail,
      async confirm(_: number, to: number, check: (log: typeof tree) => Promise<Doubt | undefined>) {
        if (doubt?.permanent) return
        if (to > tree.size) grow(to)
        doubt = await check(tree)
      },
    },
  }
}

async function keep(process: ReturnType<typeof createProcess>, places: HeadPlace[]) {
  const keeper = await startHeadKeeper({
    log: process.log,
    identity: () => identity,
    readHead: async () => ({ ...process.database }),
    readTree: async (head) => treeOf(head.size),
    judgeServer: async () => undefined,
    closeForAll: async (reason) => process.closedForAll.push(reason),
    places,
    onFailure: (where) => process.failures.push(where),
  })
  onTestFinished(() => keeper.stop())
  return keeper
}

async function scratch(): Promise<string> {
  const dir = await mkdtemp(join(tmpdir(), 'purser-head-'))
  onTestFinished(() => rm(dir, { recursive: true }))
  return dir
}

async function serve(answer: RequestListener): Promise<{ url: string; outbound: ReturnType<typeof createOutbound> }> {
  const server = createServer(answer).listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const outbound = createOutbound({ allow: [`http://127.0.0.1:${port}`] })
  onTestFinished(() => {
    outbound.close()
    server.close()
  })
  return { url: `http://127.0.0.1:${port}/head`, outbound }
}

describe('a head stored outside the database', () => {
  it('is written in the first round, and again when the log has grown', async () => {
    const dir = await scratch()
    const process = createProcess(10)
    const keeper = await keep(process, [headFile(dir)])
    expect(process.log.closed()).toBeUndefined()
    expect(sizeOf(await readFile(join(dir, 'log-head'), 'utf8'))).toBe(10)
    process.database.size = 25
    await keeper.round()
    expect(sizeOf(await readFile(join(dir, 'log-head'), 'utf8'))).toBe(25)
    expect(await readdir(dir)).toEqual(['log-head'])
    expect(process.failures).toEqual([])
  })

  it('closes the log when the database is behind it', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'log-head'), signed.checkpoint(30))
    const process = createProcess(29)
    const keeper = await keep(process, [headFile(dir)])
    expect(process.log.closed()).toContain('knows a log of 30 entries, the database has 29')
    // The doubt is permanent: a database that has since grown to the size proves nothing.
    process.database.size = 35
    await keeper.round()
    expect(process.log.closed()).toContain('knows a log of 30 entries')
    expect(sizeOf(await readFile(join(dir, 'log-head'), 'utf8'))).toBe(30)
  })

  it('closes it for every replica, unless the newest database returns under the same process', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'log-head'), signed.checkpoint(30))
    const process = createProcess(29)
    const keeper = await keep(process, [headFile(dir)])
    expect(process.closedForAll).toEqual([`${join(dir, 'log-head')} knows a log of 30 entries, the database has 29`])
    process.database.size = 35
    await keeper.round()
    expect(process.closedForAll).toHaveLength(1)
  })

  it('of another deployment closes only this replica', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'log-head'), makeLog({ size: 30 }).checkpoint(30))
    const process = createProcess(29)
    await keep(process, [headFile(dir)])
    expect(process.log.closed()).toContain("can't be used")
    expect(process.closedForAll).toEqual([])
  })

  it('of another deployment closes only this replica, though the log grows meanwhile', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'log-head'), makeLog({ size: 30 }).checkpoint(30))
    const process = createProcess(29)
    const confirm: typeof process.log.confirm = async (...round) => {
      await process.log.confirm(...round)
      process.database.size = 35
      process.grow(35)
    }
    await keep({ ...process, log: { ...process.log, confirm } }, [headFile(dir)])
    expect(process.log.closed()).toContain("can't be used")
    expect(process.closedForAll).toEqual([])
  })

  it('closes a running log when the database goes back behind what the process has seen', async () => {
    const process = createProcess(30)
    const keeper = await keep(process, [headFile(await scratch())])
    process.database.size = 12
    await keeper.round()
    expect(process.log.closed()).toBe("the database's log has 12 entries, this process has seen 30")
  })

  it('is never replaced by an older one, whichever replica lags', async () => {
    const dir = await scratch()
    await writeFile(join(dir, 'log-head'), signed.checkpoint(30))
    const process = createProcess(30)
    const keeper = await keep(process, [headFile(dir)])
    await writeFile(join(dir, 'log-head'), signed.checkpoint(33))
    process.database.size = 33
    await keeper.round()
    expect(sizeOf(await readFile(join(dir, 'log-head'), 'utf8'))).toBe(33)
    expect(process.log.closed()).toBeUndefined()
  })

  it('is written again after its removal', async () => {
    const dir = await scratch()
    const process = createProcess(10)
    const keeper = await keep(process, [headFile(dir)])
    await rm(join(dir, 'log-head'))
    await keeper.round()
    expect(sizeOf(await readFile(join(dir, 'log-head'), 'utf8'))).toBe(10)
  })

  it('is compared when another process writes it', async () => {
    const dir = await scratch()
    const process = createProcess(10)
    const keeper = await keep(process, [headFile(dir)])
    await writeFile(join(dir, 'log-head'), makeLog({ size: 10 }).checkpoint(10))
    await keeper.round()
    expect(process.log.closed()).toContain("can't be used")
  })
})

describe('a head object behind a URL', () => {
  it('is read by GET, 404 for none, and replaced by PUT', async () => {
    const puts: string[] = []
    const { url, outbound } = await serve((request, response) => {
      if (request.method === 'GET') return void response.writeHead(404).end()
      let body = ''
      request.on('data', (chunk) => (body += chunk))
      request.on('end', () => {
        puts.push(body)
        response.writeHead(204).end()
      })
    })
    const process = createProcess(10)
    const keeper = await keep(process, [headObject(url, outbound)])
    await keeper.round()
    expect(process.log.closed()).toBeUndefined()
    expect(puts.map(sizeOf)).toContain(10)
  })

  /** An object store, with or without RFC 9110 preconditions by entity tags. */
  function createStore(kind: 'conditional' | 'refuses conditions' | 'weak tags' | 'no tags') {
    const store = { note: '', beforePut: async (_note: string): Promise<unknown> => undefined, answers: [] as number[] }
    const tag = (): string => `"${createHash('sha256').update(store.note).digest('hex')}"`
    const answer = async (request: IncomingMessage, response: ServerResponse): Promise<void> => {
      if (request.method === 'GET') {
        const tags = kind === 'no tags' ? {} : { etag: kind === 'weak tags' ? `W/${tag()}` : tag() }
        return void (store.note === '' ? response.writeHead(404).end() : response.writeHead(200, tags).end(store.note))
      }
      const note = (await request.toArray()).join('')
      await store.beforePut(note)
      const { 'if-match': match, 'if-none-match': noneMatch } = request.headers
      const isConditional = match !== undefined || noneMatch !== undefined
      const holds = match === undefined ? noneMatch === undefined || store.note === '' : match === tag()
      const status = !isConditional || (kind === 'conditional' && holds) ? 204 : kind === 'conditional' ? 412 : 501
      if (status === 204) store.note = note
      store.answers.push(status)
      response.writeHead(status).end()
    }
    return { store, answer: (...args: Parameters<typeof answer>) => void answer(...args) }
  }

  it.each([
    ['without an object', 0],
    ['with an older object', 5],
  ])('is never replaced by a slower replica that read it earlier: %s', async (_, before) => {
    const { store, answer } = createStore('conditional')
    if (before > 0) store.note = signed.checkpoint(before)
    const { url, outbound } = await serve(answer)
    const [slow, fast] = [createProcess(10), createProcess(25)]
    let other: ReturnType<typeof keep> | undefined
    // Between the GET and the PUT of the slow keeper.
    store.beforePut = async (note) => {
      if (sizeOf(note) !== 10) return
      slow.database.size = 25
      await (other ??= keep(fast, [headObject(url, outbound)]))
    }
    await keep(slow, [headObject(url, outbound)])
    expect(other).toBeDefined()
    expect(sizeOf(store.note)).toBe(25)
    expect(store.answers).toContain(412)
    expect([slow.log.closed(), fast.log.closed()]).toEqual([undefined, undefined])
    expect([...slow.failures, ...fast.failures]).toEqual([])
  })

  it.each(['refuses conditions', 'weak tags', 'no tags'] as const)(
    'is stored in a store of this kind: %s',
    async (kind) => {
      const { store, answer } = createStore(kind)
      if (kind === 'weak tags') store.note = signed.checkpoint(5)
      const { url, outbound } = await serve(answer)
      const process = createProcess(10)
      const keeper = await keep(process, [headObject(url, outbound)])
      expect(sizeOf(store.note)).toBe(10)
      process.database.size = 25
      await keeper.round()
      expect(sizeOf(store.note)).toBe(25)
      expect(process.failures).toEqual([])
    },
  )

  it('must be read once before anything is issued: unreachable differs from absent', async () => {
    let status = 503
    const { url, outbound } = await serve((request, response) => {
      if (request.method === 'GET') response.writeHead(status).end(signed.checkpoint(8))
      else response.writeHead(500).end()
    })
    const process = createProcess(10)
    const keeper = await keep(process, [headFile(await scratch()), headObject(url, outbound)])
    expect(process.log.closed()).toContain('PURSER_LOG_HEAD_URL could not be read yet')
    status = 200
    await keeper.round()
    expect(process.log.closed()).toBeUndefined()
    // Later failures are reported, and stop nothing.
    status = 500
    await keeper.round()
    expect(process.log.closed()).toBeUndefined()
    expect(new Set(process.failures)).toEqual(new Set(['PURSER_LOG_HEAD_URL']))
  })

  it('closes the log when it is newer, though the file agrees', async () => {
    const { url, outbound } = await serve((_, response) => response.end(signed.checkpoint(31)))
    const dir = await scratch()
    await writeFile(join(dir, 'log-head'), signed.checkpoint(9))
    const process = createProcess(10)
    await keep(process, [headFile(dir), headObject(url, outbound)])
    expect(process.log.closed()).toContain('PURSER_LOG_HEAD_URL knows a log of 31 entries')
  })
})
