/** `purser credentials --watch`: files that are written anew at each renewal, until a signal ends it. */
import type { Purser } from '@purser/sdk'
import { writeFiles, type FileStore, type Written } from '../files.ts'
import type { Io } from '../io.ts'
import { remark } from '../output.ts'
import { type Hook, factsOf } from './command.ts'
import { type Wanted, contentsOf } from './contents.ts'

type WatchParts = {
  io: Io
  purser: Purser
  wanted: Wanted
  out: string
  store: FileStore
  hook: Hook | undefined
  signals: Signals
}

/** Heard from the start on: one that comes while the first files are written counts too. */
export type Signals = {
  stopped: Promise<NodeJS.Signals>
  isOver: () => boolean
  onHangup: (listener: () => void) => void
}

export function hearSignals(io: Pick<Io, 'onSignal'>): Signals {
  let stop: (name: NodeJS.Signals) => void = () => undefined
  let hangup: () => void = () => undefined
  let over = false
  const stopped = new Promise<NodeJS.Signals>((resolve) => (stop = resolve))
  io.onSignal(['SIGTERM', 'SIGINT'], (name) => {
    over = true
    stop(name)
  })
  io.onSignal(['SIGHUP'], () => hangup())
  return { stopped, isOver: () => over, onHangup: (listener) => (hangup = listener) }
}

/** Milliseconds until files that could not be written are tried again: a disk may be full for a while. */
const againMs = 10_000
/** The longest that a timer of Node can be. */
const maxMs = 2 ** 31 - 1

export async function watch(parts: WatchParts): Promise<void> {
  const { io, purser, wanted, hook, signals } = parts
  const say = (text: string): void => remark(io, text)
  const sync = createSync(parts)

  const listening = [
    purser.on('renewed', ({ by }) => sync.because(`renewed by ${by}`)),
    purser.on('bundle', () => sync.because('the roots changed')),
    purser.on('disconnected', ({ error }) => say(`Purser is away: ${error.message}. What is held is used meanwhile`)),
    purser.on('reconnected', ({ afterMs }) => say(`Purser is back, after ${Math.round(afterMs / 1000)} s`)),
    purser.on('expiring', ({ notAfter, error }) =>
      say(`warning: the certificate ends at ${notAfter.toISOString()} and could not be renewed yet${because(error)}`),
    ),
    purser.on('expired', ({ notAfter, error }) =>
      say(`warning: the certificate ended at ${notAfter.toISOString()}${because(error)}. The files stay as they are`),
    ),
    purser.on('fork', ({ error, heads }) => {
      const file = { name: 'log-fork.json', text: `${JSON.stringify(heads, null, 2)}\n`, what: 'two heads of one log' }
      say(`warning: ${error.message}. They are in ${parts.out}/${file.name}`)
      writeFiles(parts.out, [file]).catch((failure: unknown) => say(`warning: ${wordsOf(failure)}`))
    }),
  ]
  for (const name of wanted.databases) {
    // Whoever reads the file says nothing of having moved, so that the role before is left to its own end.
    const told = purser.databases.watch(name, () => sync.because(`another role in ${name}`), { giveUp: false })
    told.on('renewed', () => sync.because(`the role in ${name} was renewed`))
    told.on('error', ({ message }) => say(`warning: the role in ${name} could not be renewed yet: ${message}`))
    listening.push(() => told.close())
  }
  signals.onHangup(() => {
    say('SIGHUP: renewing now')
    sync.forget()
    purser.renew().catch((error: unknown) => say(`warning: it could not be renewed now: ${wordsOf(error)}`))
  })
  // The timers of the SDK keep no process alive.
  const awake = setInterval(() => undefined, maxMs)
  // What came while the first files were written.
  sync.because('renewed')
  const name = await signals.stopped
  for (const end of listening) end()
  purser.close()
  await Promise.all([sync.stop(), hook?.stop(name)])
  clearInterval(awake)
}

const wordsOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const because = (error: Error | undefined): string => (error ? `: ${error.message}` : '')

type Sync = {
  /** There may be something new to write. */
  because(reason: string): void
  forget(): void
  /** Waits for the set of files that is being written. */
  stop(): Promise<void>
}

/** One at a time, so that the files are always of one generation, and again when there was more meanwhile. */
function createSync({ io, purser, wanted, out, store, hook }: WatchParts): Sync {
  let reason: string | undefined
  let underWay: Promise<void> | undefined
  let stopping = false
  let timer: NodeJS.Timeout | undefined

  async function once(why: string): Promise<void> {
    const missing = (error: unknown): void => void (stopping || remark(io, `warning: ${wordsOf(error)}`))
    const files = stopping ? [] : await contentsOf(purser, wanted, missing)
    // Asked again: it takes a while. A set that was begun is finished.
    if (stopping) return
    const changed = await store.write(files)
    if (changed.length === 0) return
    const hasX509 = files.some(({ name }) => name === 'tls.crt')
    remark(io, `${why}; ${described(purser, changed)}`)
    if (!stopping) hook?.run(factsOf(purser, out, hasX509, changed))
  }

  async function run(): Promise<void> {
    while (reason !== undefined) {
      const why = reason
      reason = undefined
      try {
        await once(why)
        lookAt(soonest())
      } catch (error) {
        remark(io, `warning: ${wordsOf(error)}; it is tried again in ${againMs / 1000} s`)
        lookAt(Date.now() + againMs, 'renewed')
      }
    }
  }

  /** Whatever ends without an event of its own: tokens. */
  const tokens = (): Written[] => store.written().filter(({ name }) => !name.startsWith('tls.'))
  const soonest = (): number =>
    Math.min(
      ...tokens()
        .map(({ until }) => until?.getTime() ?? Infinity)
        .filter(isAhead),
    )
  const isAhead = (at: number): boolean => at > Date.now()

  function lookAt(at: number, why?: string): void {
    clearTimeout(timer)
    if (at === Infinity || stopping) return
    timer = setTimeout(
      () => {
        for (const { name, until } of tokens())
          if (until && !isAhead(until.getTime())) remark(io, `warning: ${name} ended at ${until.toISOString()}`)
        look(why ?? 'renewed')
      },
      // A timer may come a millisecond early, and what ended would then be taken for what is still ahead.
      Math.min(Math.max(at - Date.now() + 2, 0), maxMs),
    )
  }

  function look(why: string): void {
    reason = why
    underWay ??= run().finally(() => {
      underWay = undefined
      if (reason !== undefined && !stopping) look(reason)
    })
  }

  return {
    because: look,
    forget: () => store.forget(),
    async stop() {
      stopping = true
      clearTimeout(timer)
      await underWay
    },
  }
}

function described(purser: Purser, changed: readonly Written[]): string {
  const names = changed.map(({ name }) => name)
  const of = names.includes('tls.crt')
    ? `serial ${purser.x509.serialNumber}, until ${purser.x509.notAfter.toISOString()}; `
    : ''
  return `${of}wrote ${names.join(' ')}`
}
