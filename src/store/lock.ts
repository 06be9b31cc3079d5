/**
 * Allows one process at a time in a data directory: two processes with PGlite on it lose rows without an error. The lock
 * file names its holder. Another process takes it over when the holder has ended.
 */
import { randomUUID } from 'node:crypto'
import { link, readFile, readlink, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

/** Another process, with the id `pid`, holds the directory. */
export class StoreLocked extends Error {
  /** The message holds no values of others. */
  readonly safeToLog = true
  readonly pid: number
  constructor(path: string, pid: number) {
    super(`process ${pid} has this data directory open (${path}); stop it first, or talk to it over HTTP`)
    this.name = 'StoreLocked'
    this.pid = pid
  }
}

/** `started` distinguishes a process from a later one with the same id; `world` is the pid space in which its pid has a meaning. */
type Holder = { token: string; pid: number; started: string | null; world: string | null }

/** Milliseconds between two touches of the file, and without a touch until a holder in another pid space counts as dead. */
const defaultTiming = { beat: 1_000, deadAfter: 5_000 }

/** Field 22 of /proc/<pid>/stat (proc(5)): clock ticks from boot to the start of the process. Null without /proc or process. */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** The boot id and the pid namespace. Elsewhere the pid names another process, as in two containers that share a volume. */
async function currentPidSpace(): Promise<string | null> {
  const boot = await readFile('/proc/sys/kernel/random/boot_id', 'latin1').catch(() => null)
  const namespace = await readlink('/proc/self/ns/pid').catch(() => null)
  return boot && namespace && `${boot.trim()} ${namespace}`
}

function exists(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return true
  } catch (error) {
    return error instanceof Error && 'code' in error && error.code === 'EPERM'
  }
}

/** Checks the process itself in the same pid space; otherwise checks whether the holder still touches its file. */
async function isDead(path: string, holder: Holder, pidSpace: string | null, deadAfter: number): Promise<boolean> {
  if (holder.world === pidSpace) {
    if (!exists(holder.pid)) return true
    const started = await startOf(holder.pid)
    return started !== null && holder.started !== null && started !== holder.started
  }
  const touchTime = async (): Promise<number | undefined> => (await stat(path).catch(() => undefined))?.mtimeMs
  const before = await touchTime()
  for (let looks = 0; looks < 20; looks++) {
    await pause(deadAfter / 20)
    if ((await touchTime()) !== before) return false
  }
  return true
}

async function readHolder(path: string): Promise<Holder | undefined> {
  const text = await readFile(path, 'utf8').catch(() => undefined)
  if (text === undefined) return undefined
  try {
    const holder: Holder = JSON.parse(text)
    return holder
  } catch {
    // A power loss left a broken file: only missing touches show that its holder is dead.
    return { token: '', pid: 0, started: null, world: 'unreadable' }
  }
}

/**
 * Removes the file of a dead holder. A second lock file, the gate, lets one process at a time do so: otherwise the removal
 * could hit a lock that another process has taken since the check. The gate of a dead process is removed the same way.
 */
async function clear(
  path: string,
  dead: Holder,
  draft: string,
  isGateDead: (holder: Holder) => Promise<boolean>,
): Promise<void> {
  const gate = `${path}.gate`
  if (!(await linked(draft, gate))) {
    const gateHolder = await readHolder(gate)
    if (gateHolder && (await isGateDead(gateHolder))) await rm(gate, { force: true })
    return pause(gatePause)
  }
  try {
    if ((await readHolder(path))?.token === dead.token) await rm(path, { force: true })
  } finally {
    await rm(gate, { force: true })
  }
}

/** Milliseconds. A process holds the gate for one or two. */
const gatePause = 10
const maxTries = 100

/** link(2) is atomic and refuses an existing name: no process sees a partly written file. */
async function linked(from: string, to: string): Promise<boolean> {
  try {
    await link(from, to)
    return true
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'EEXIST') return false
    throw error
  }
}

/**
 * Takes the lock at `path` until `release`. Touches the file every second meanwhile, so that a process in another
 * container sees that the holder lives.
 * @throws StoreLocked when a live process holds it
 */
export async function takeLock(
  path: string,
  { beat, deadAfter } = defaultTiming,
): Promise<{ release: () => Promise<void> }> {
  const pidSpace = await currentPidSpace()
  const mine: Holder = { token: randomUUID(), pid: process.pid, started: await startOf(process.pid), world: pidSpace }
  const draft = `${path}.${mine.token}`
  await writeFile(draft, JSON.stringify(mine), { mode: 0o600, flag: 'wx' })
  try {
    for (let tries = 0; ; tries++) {
      if (await linked(draft, path)) break
      const holder = await readHolder(path)
      if (!holder) continue
      const isDeadAt = (file: string) => (holder: Holder) => isDead(file, holder, pidSpace, deadAfter)
      if (tries > maxTries || !(await isDeadAt(path)(holder))) throw new StoreLocked(path, holder.pid)
      await clear(path, holder, draft, isDeadAt(`${path}.gate`))
    }
  } finally {
    await rm(draft, { force: true })
  }
  const timer = setInterval(() => void utimes(path, new Date(), new Date()).catch(() => undefined), beat)
  timer.unref()
  return {
    async release() {
      clearInterval(timer)
      if ((await readHolder(path))?.token === mine.token) await rm(path, { force: true })
    },
  }
}
