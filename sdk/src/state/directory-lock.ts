/**
 * Allows one process at a time in a state directory: two processes that renew with one certificate look like an owner and
 * a thief, and the server ends the session of both. A unix socket shows whether its holder is alive, also from another
 * container, where a process id is useless.
 *
 * Each process creates its own socket, then looks at the sockets of the others. Of two that start at once, the one that
 * looks last sees the other. Since names are never reused, a dead socket can be removed safely.
 */
import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { join, relative, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { hasCode, makeDirectory } from './private-file.ts'

export type DirectoryLock = { release(): void }

/** Limit of a unix socket's path: sun_path in unix(7), without its closing NUL. */
const maxPathLength = 107
/** How often the first process checks whether the later ones have given way. */
const checks = { times: 20, pauseMs: 10 }

/**
 * @returns undefined if another process holds the lock
 * @throws errors of the file system
 */
export async function lockDirectory(dir: string): Promise<DirectoryLock | undefined> {
  await makeDirectory(dir)
  if (process.platform === 'win32') return lockPipe(dir)
  const name = newName()
  const path = join(dir, name)
  // It gets its name once it listens, so that a named socket that refuses connections is dead.
  const hidden = join(dir, name.replace('lock', 'new'))
  const server = await listen(shortest(hidden))
  if (!server) return undefined
  const release = (): void => {
    server.close()
    try {
      for (const socket of [path, hidden]) rmSync(socket, { force: true })
    } catch {
      // The next process finds a dead socket.
    }
  }
  try {
    await rename(hidden, path)
    if (await isFirst(dir, name)) return { release }
  } catch (error) {
    release()
    throw error
  }
  release()
  return undefined
}

/** Ordered by the machine's monotonic clock, so that a later process has a later name. */
const newName = (): string =>
  `lock.${(process.hrtime.bigint() / 1000n).toString(36).padStart(10, '0')}${randomBytes(3).toString('hex')}`

/** A later process gives way at once; the first one waits for that. */
async function isFirst(dir: string, name: string): Promise<boolean> {
  for (let n = 0; n < checks.times; n++) {
    const others = await liveLocks(dir, name)
    if (others.length === 0) return true
    if (others.some((other) => other < name)) return false
    await pause(checks.pauseMs)
  }
  return false
}

/** The locks of other live processes. Removes the locks of killed ones. */
async function liveLocks(dir: string, own: string): Promise<string[]> {
  const names: string[] = []
  for (const name of await readdir(dir)) {
    if (name === own || !/^lock(?:\.|$)/.test(name)) continue
    const path = join(dir, name)
    if (await isDead(shortest(path))) await rm(path, { force: true })
    else names.push(name)
  }
  return names
}

/** The shorter of the absolute and the relative path, for Node's `net`. */
function shortest(path: string): string {
  const [short = path] = [path, relative('.', path)].toSorted((a, b) => a.length - b.length)
  if (Buffer.byteLength(short) > maxPathLength)
    throw new Error(`the path of its lock, ${path}, is longer than ${maxPathLength} bytes, the limit of a socket`)
  return short
}

/** Windows removes a pipe with its process. */
async function lockPipe(dir: string): Promise<DirectoryLock | undefined> {
  const name = createHash('sha256')
    .update(resolve(join(dir, 'lock')))
    .digest('hex')
    .slice(0, 32)
  const server = await listen(`\\\\.\\pipe\\purser-${name}`)
  return server && { release: () => void server.close() }
}

/** @returns undefined if the name is in use */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((done, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error) => (hasCode(error, 'EADDRINUSE') ? done(undefined) : reject(error)))
    server.listen({ path }, () => done(server.unref()))
  })
}

/** Whether no process listens there. Other errors, such as EACCES at another user's socket, prove nothing. */
function isDead(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      done(false)
    })
    socket.once('error', (error) => done(hasCode(error, 'ECONNREFUSED') || hasCode(error, 'ENOENT')))
  })
}
