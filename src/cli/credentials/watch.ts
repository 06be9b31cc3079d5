/** `purser credentials --watch`: updates the files at each renewal, until a signal ends it. */
import type { Purser } from '@purser/sdk'
import { writeFiles, type FileStore, type Written } from '../files.ts'
import type { Io } from '../io.ts'
import { remark } from '../output.ts'
import { type Hook, factsOf } from './command.ts'
import { type Selection, contentsOf } from './contents.ts'

type WatchParts = {
  io: Io
  purser: Purser
  selection: Selection
  out: string
  store: FileStore
  hook: Hook | undefined
  signals: Signals
}

/** Signals are handled from the start, also while the first files are written. */
type Signals = ReturnType<typeof listenForSignals>

export function listenForSignals(io: Pick<Io, 'onSignal'>) {
  let stop: (name: NodeJS.Signals) => void = () => undefined
  let hangup: () => void = () => undefined
  let over = false
  const stopped = new Promise<NodeJS.Signals>((resolve) => (stop = resolve))
  io.onSignal(['SIGTERM', 'SIGINT'], (name) => {
    over = true
    stop(name)
  })
  io.onSignal(['SIGHUP'], () => hangup())
  return { stopped, isOver: () => over, onHangup: (listener: () => void) => (hangup = listener) }
}

/** Milliseconds until a failed write is retried: a disk may be full for a while. */
const retryMs = 10_000
/** The maximum delay of a timer in Node.js. */
const maxMs = 2 ** 31 - 1

export async function watch(parts: WatchParts): Promise<void> {
  const { io, purser, selection, hook, signals } = parts
  const say = (text: string): void => remark(io, text)
  const sync = createSync(parts)

  const listening = [
    purser.on('renewed', ({ by }) => sync.request(`renewed by ${by}`)),
    purser.on('bundle', () => sync.request('the roots changed')),
    purser.on('disconnected', ({ error }) =>
      say(`Purser cannot be reached: ${error.message}. The current credentials stay in use`),
    ),
    purser.on('reconnected', ({ afterMs }) =>
      say(`Purser can be reached again, after ${Math.round(afterMs / 1000)} s`),
    ),
    purser.on('expiring', ({ notAfter, error }) =>
      say(`warning: the certificate expires at ${notAfter.toISOString()} and could not be renewed yet${cause(error)}`),
    ),
    purser.on('expired', ({ notAfter, error }) =>
      say(`warning: the certificate expired at ${notAfter.toISOString()}${cause(error)}. The files stay as they are`),
    ),
    purser.on('fork', ({ error, heads }) => {
      const file = { name: 'log-fork.json', text: `${JSON.stringify(heads, null, 2)}\n`, what: 'two heads of one log' }
      say(`warning: ${error.message}. Both heads are in ${parts.out}/${file.name}`)
      writeFiles(parts.out, [file]).catch((failure: unknown) => say(`warning: ${messageOf(failure)}`))
    }),
  ]
  for (const name of selection.databases) {
    // Readers of the file do not report that they moved, so the old role lives until its own end.
    const watch = purser.databases.watch(name, () => sync.request(`new role in ${name}`), { giveUp: false })
    watch.on('renewed', () => sync.request(`the role in ${name} was renewed`))
    watch.on('error', ({ message }) => say(`warning: the role in ${name} could not be renewed yet: ${message}`))
    listening.push(() => watch.close())
  }
  signals.onHangup(() => {
    say('SIGHUP: renewing now')
    sync.forget()
    purser.renew().catch((error: unknown) => say(`warning: the renewal failed: ${messageOf(error)}`))
  })
  // The timers of the SDK do not keep the process alive.
  const awake = setInterval(() => undefined, maxMs)
  // A change may have come while the first files were written.
  sync.request('renewed')
  const name = await signals.stopped
  for (const end of listening) end()
  purser.close()
  await Promise.all([sync.stop(), hook?.stop(name)])
  clearInterval(awake)
}

const messageOf = (error: unknown): string => (error instanceof Error ? error.message : String(error))
const cause = (error: Error | undefined): string => (error ? `: ${error.message}` : '')

/** Writes one set of files at a time, so that they belong together, and again if more changed meanwhile. */
function createSync({ io, purser, selection, out, store, hook }: WatchParts) {
  let reason: string | undefined
  let current: Promise<void> | undefined
  let stopping = false
  let timer: NodeJS.Timeout | undefined

  async function once(why: string): Promise<void> {
    const missing = (error: unknown): void => void (stopping || remark(io, `warning: ${messageOf(error)}`))
    const files = stopping ? [] : await contentsOf(purser, selection, missing)
    // Checked again, since reading takes a while. A set that was begun is finished.
    if (stopping) return
    const changed = await store.write(files)
    if (changed.length === 0) return
    const hasX509 = files.some(({ name }) => name === 'tls.crt')
    remark(io, `${why}; ${describeChange(purser, changed)}`)
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
        remark(io, `warning: ${messageOf(error)}; retrying in ${retryMs / 1000} s`)
        lookAt(Date.now() + retryMs, 'renewed')
      }
    }
  }

  /** Tokens expire without an event. */
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
          if (until && !isAhead(until.getTime())) remark(io, `warning: ${name} expired at ${until.toISOString()}`)
        look(why ?? 'renewed')
      },
      // A timer may fire a millisecond early, when the token has not quite expired.
      Math.min(Math.max(at - Date.now() + 2, 0), maxMs),
    )
  }

  function look(why: string): void {
    reason = why
    current ??= run().finally(() => {
      current = undefined
      if (reason !== undefined && !stopping) look(reason)
    })
  }

  return {
    /** Writes what has changed. */
    request: look,
    forget: () => store.forget(),
    /** Waits for the set of files that is being written. */
    async stop() {
      stopping = true
      clearTimeout(timer)
      await current
    },
  }
}

function describeChange(purser: Purser, changed: readonly Written[]): string {
  const names = changed.map(({ name }) => name)
  const certificate = names.includes('tls.crt')
    ? `serial ${purser.x509.serialNumber}, until ${purser.x509.notAfter.toISOString()}; `
    : ''
  return `${certificate}wrote ${names.join(' ')}`
}
