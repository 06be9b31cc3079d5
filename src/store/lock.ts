/**
 * One process at a time in a data directory: two openers of PGlite lose rows without an error. The lock file names its
 * holder and is taken over when that process is gone.
 */
import { randomUUID } from 'node:crypto'
import { link, readFile, readlink, rm, stat, utimes, writeFile } from 'node:fs/promises'
import { setTimeout as pause } from 'node:timers/promises'

/** Another process holds the directory; `pid` is its id. */
export class StoreLocked extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  readonly pid: number
  constructor(path: string, pid: number) {
    super(`process ${pid} has this data directory open (${path}); stop it first, or talk to it over HTTP`)
    this.name = 'StoreLocked'
    this.pid = pid
  }
}

/** `started` tells a process from a later one with the same id; `world` tells which processes we can see. */
type Holder = { token: string; pid: number; started: string | null; world: string | null }

/** Milliseconds between two touches, and the silence after which a holder that nobody can ask counts as gone. */
const rhythm = { beat: 1_000, deadAfter: 5_000 }

/** Field 22 of /proc/<pid>/stat (proc(5)): ticks from boot to the start. Null where there is no /proc, or no such process. */
async function startOf(pid: number): Promise<string | null> {
  const text = await readFile(`/proc/${pid}/stat`, 'latin1').catch(() => null)
  return text?.slice(text.lastIndexOf(')') + 2).split(' ')[19] ?? null
}

/** The boot and the pid namespace: outside of them a pid says nothing (two containers, each with a process 1, on one volume). */
async function thisWorld(): Promise<string | null> {
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

/** In our world the process itself answers; from another, only whether the holder still touches its file. */
async function isGone(path: string, holder: Holder, world: string | null, deadAfter: number): Promise<boolean> {
  if (holder.world === world) {
    if (!exists(holder.pid)) return true
    const started = await startOf(holder.pid)
    return started !== null && holder.started !== null && started !== holder.started
  }
  const touched = async (): Promise<number | undefined> => (await stat(path).catch(() => undefined))?.mtimeMs
  const before = await touched()
  for (let looks = 0; looks < 20; looks++) {
    await pause(deadAfter / 20)
    if ((await touched()) !== before) return false
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
    // Left by a power loss. Nobody can be asked, so only its silence tells.
    return { token: '', pid: 0, started: null, world: 'unreadable' }
  }
}

/**
 * Takes a dead holder's file away, behind a gate that one taker at a time passes: between a look at the file and its removal
 * another may have taken the lock, and would lose it without a word. Whoever died in the gate itself is cleared the same way.
 */
async function clear(
  path: string,
  dead: Holder,
  draft: string,
  gone: (holder: Holder) => Promise<boolean>,
): Promise<void> {
  const gate = `${path}.gate`
  if (!(await linked(draft, gate))) {
    const inside = await readHolder(gate)
    if (inside && (await gone(inside))) await rm(gate, { force: true })
    return pause(gatePause)
  }
  try {
    if ((await readHolder(path))?.token === dead.token) await rm(path, { force: true })
  } finally {
    await rm(gate, { force: true })
  }
}

/** Milliseconds; passing the gate takes one or two. */
const gatePause = 10
const maxTries = 100

/** link(2) is atomic and refuses an existing name: the file is never seen half written. */
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
 * Takes the lock at `path`, or throws StoreLocked. It is held until `release`, and touched every second meanwhile, so
 * that a process in another container sees that its holder lives.
 */
export async function takeLock(path: string, { beat, deadAfter } = rhythm): Promise<{ release: () => Promise<void> }> {
  const world = await thisWorld()
  const mine: Holder = { token: randomUUID(), pid: process.pid, started: await startOf(process.pid), world }
  const draft = `${path}.${mine.token}`
  await writeFile(draft, JSON.stringify(mine), { mode: 0o600, flag: 'wx' })
  try {
    for (let tries = 0; ; tries++) {
      if (await linked(draft, path)) break
      const holder = await readHolder(path)
      if (!holder) continue
      const gone = (at: string) => (holder: Holder) => isGone(at, holder, world, deadAfter)
      if (tries > maxTries || !(await gone(path)(holder))) throw new StoreLocked(path, holder.pid)
      await clear(path, holder, draft, gone(`${path}.gate`))
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
