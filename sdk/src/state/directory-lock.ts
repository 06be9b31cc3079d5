/**
 * One process at a time in a state directory: two that renew with one certificate look like a thief and an owner, and end
 * the session of both. A unix socket tells whether its holder lives, from other containers too, which no process id does.
 *
 * Each starter shows a socket of its own, and then looks at those of the others. Of two that start at once the one that
 * looks last sees the other; and a name that is never used again can be removed without a fear of removing another's.
 */
import { createHash, randomBytes } from 'node:crypto'
import { rmSync } from 'node:fs'
import { readdir, rename, rm } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { join, relative, resolve } from 'node:path'
import { setTimeout as pause } from 'node:timers/promises'
import { hasCode, makeDirectory } from './private-file.ts'

export type DirectoryLock = { release(): void }

/** Of a unix socket's path, sun_path in unix(7), with its closing NUL. */
const maxPathLength = 107
/** How often, and how far apart in milliseconds, the one that came first looks whether the others gave way. */
const looks = { times: 20, pauseMs: 10 }

/** @returns undefined where another process holds it. Errors of the file system are thrown as they are. */
export async function lockDirectory(dir: string): Promise<DirectoryLock | undefined> {
  await makeDirectory(dir)
  if (process.platform === 'win32') return lockPipe(dir)
  const name = newName()
  const path = join(dir, name)
  // Under its name only once it listens: one that refuses is dead, and not about to be there.
  const hidden = join(dir, name.replace('lock', 'new'))
  const server = await listen(shortest(hidden))
  if (!server) return undefined
  const release = (): void => {
    server.close()
    try {
      for (const one of [path, hidden]) rmSync(one, { force: true })
    } catch {
      // Whoever comes next finds that nobody listens there.
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

/** By the clock of the whole machine that nobody sets, so that who comes later has the later name. */
const newName = (): string =>
  `lock.${(process.hrtime.bigint() / 1000n).toString(36).padStart(10, '0')}${randomBytes(3).toString('hex')}`

/** Who came later gives way at once; who came first waits for that. */
async function isFirst(dir: string, name: string): Promise<boolean> {
  for (let n = 0; n < looks.times; n++) {
    const others = await alive(dir, name)
    if (others.length === 0) return true
    if (others.some((other) => other < name)) return false
    await pause(looks.pauseMs)
  }
  return false
}

/** Removes what processes left that were killed. */
async function alive(dir: string, own: string): Promise<string[]> {
  const found: string[] = []
  for (const name of await readdir(dir)) {
    if (name === own || !/^lock(?:\.|$)/.test(name)) continue
    const path = join(dir, name)
    if (await isDead(shortest(path))) await rm(path, { force: true })
    else found.push(name)
  }
  return found
}

/** A path of Node's `net`: the absolute or the relative one, whichever fits. */
function shortest(path: string): string {
  const [found = path] = [path, relative('.', path)].toSorted((a, b) => a.length - b.length)
  if (Buffer.byteLength(found) > maxPathLength)
    throw new Error(`the path of its lock, ${path}, is longer than the ${maxPathLength} bytes that a socket may have`)
  return found
}

/** A pipe of Windows is gone with its process. */
async function lockPipe(dir: string): Promise<DirectoryLock | undefined> {
  const name = createHash('sha256')
    .update(resolve(join(dir, 'lock')))
    .digest('hex')
    .slice(0, 32)
  const server = await listen(`\\\\.\\pipe\\purser-${name}`)
  return server && { release: () => void server.close() }
}

/** Undefined where the name is taken. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((done, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error) => (hasCode(error, 'EADDRINUSE') ? done(undefined) : reject(error)))
    server.listen({ path }, () => done(server.unref()))
  })
}

/** Nobody listens there any more. Anything else, such as EACCES of another user's, tells nothing. */
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
