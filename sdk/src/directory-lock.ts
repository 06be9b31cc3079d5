/**
 * One process at a time in a state directory: two that renew with one certificate look like a thief and an owner, and end
 * the session of both. A unix socket tells whether its holder lives, from other containers too, which no process id does.
 */
import { createHash } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { type Server, connect, createServer } from 'node:net'
import { join, relative, resolve } from 'node:path'
import { hasCode, makeDirectory } from './private-file.ts'

export type DirectoryLock = { release(): void }

/** Of a unix socket's path, sun_path in unix(7), with its closing NUL. */
const longestPath = 107

/** @returns undefined where another process holds it. Errors of the file system are thrown as they are. */
export async function lockDirectory(dir: string): Promise<DirectoryLock | undefined> {
  await makeDirectory(dir)
  const path = socketPath(dir)
  for (let tries = 0; tries < 3; tries++) {
    const server = await listen(path)
    if (server) return { release: () => server.close() }
    if (await answers(path)) return undefined
    // Left behind by a process that was killed.
    await rm(path, { force: true })
  }
  return undefined
}

function socketPath(dir: string): string {
  const path = join(dir, 'lock')
  const [shortest = path] = [path, relative('.', path)].toSorted((a, b) => a.length - b.length)
  if (process.platform === 'win32')
    return `\\\\.\\pipe\\purser-${createHash('sha256').update(resolve(path)).digest('hex').slice(0, 32)}`
  if (Buffer.byteLength(shortest) > longestPath)
    throw new Error(`the path of its lock, ${path}, is longer than the ${longestPath} bytes that a socket may have`)
  return shortest
}

/** Undefined where the name is taken. */
function listen(path: string): Promise<Server | undefined> {
  return new Promise((done, reject) => {
    const server = createServer((socket) => socket.destroy())
    server.once('error', (error) => (hasCode(error, 'EADDRINUSE') ? done(undefined) : reject(error)))
    server.listen({ path }, () => done(server.unref()))
  })
}

function answers(path: string): Promise<boolean> {
  return new Promise((done) => {
    const socket = connect({ path })
    socket.once('connect', () => {
      socket.destroy()
      done(true)
    })
    socket.once('error', () => done(false))
  })
}
