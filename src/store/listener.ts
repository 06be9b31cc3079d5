/** LISTEN on one connection of its own, which comes back by itself when it is lost. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { type Database, isConnectionError } from './database.ts'
import { serversLock } from './server-lock.ts'

type Subscriber = { fn: (payload: string) => void; onGap: (() => void) | undefined }

const firstPause = 100
const maxPause = 5_000

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * `connect` answers a client of its own. The first `listen` fails when Postgres can't be reached; later
 * losses are told to `onError`, tried again with growing pauses, and end in every subscriber's `onGap`.
 */
export function createListener(
  connect: () => Promise<Client>,
  onError: ((error: unknown) => void) | undefined,
): Pick<Database, 'listen' | 'close'> {
  const channels = new Map<string, Set<Subscriber>>()
  const closing = new AbortController()
  let current: Promise<Client> | undefined

  function call(fn: () => void): void {
    try {
      fn()
    } catch (error) {
      onError?.(error)
    }
  }

  async function open(): Promise<Client> {
    const client = await connect()
    client.on('error', (error) => onError?.(error))
    client.on('notification', ({ channel, payload }) => {
      for (const { fn } of channels.get(channel) ?? []) call(() => fn(payload ?? ''))
    })
    try {
      // Whoever listens is a server: what must not happen beside one waits, or refuses (presence.ts).
      await client.query('select pg_advisory_lock_shared($1)', [serversLock])
      // Walking a Map also meets what is added meanwhile.
      for (const channel of channels.keys()) await client.query(`listen ${quoted(channel)}`)
    } catch (error) {
      void client.end().catch(() => undefined)
      throw error
    }
    client.once('end', () => void reopen())
    return client
  }

  async function reopen(): Promise<void> {
    for (let wait = firstPause; !closing.signal.aborted; wait = Math.min(wait * 2, maxPause)) {
      try {
        current = open()
        await current
        for (const set of channels.values()) for (const { onGap } of set) call(() => onGap?.())
        return
      } catch (error) {
        if (closing.signal.aborted) return
        onError?.(error)
        await pause(wait, undefined, { signal: closing.signal }).catch(() => undefined)
      }
    }
  }

  /** Whoever subscribes first connects and is told of a failure. Later a broken connection is `reopen`'s to mend. */
  async function hear(channel: string): Promise<void> {
    if (current === undefined) {
      current = open()
      await current.catch((error: unknown) => {
        current = undefined
        throw error
      })
      return
    }
    try {
      await (await current).query(`listen ${quoted(channel)}`)
    } catch (error) {
      if (!isConnectionError(error) || current === undefined) throw error
    }
  }

  return {
    async listen(channel, fn, onGap) {
      const subscriber = { fn, onGap }
      const set = channels.get(channel) ?? new Set()
      channels.set(channel, set.add(subscriber))
      const unlisten = async (): Promise<void> => {
        set.delete(subscriber)
        if (set.size === 0 && channels.get(channel) === set) channels.delete(channel)
      }
      try {
        await hear(channel)
      } catch (error) {
        await unlisten()
        throw error
      }
      return unlisten
    },
    async close() {
      closing.abort()
      const client = await current?.catch(() => undefined)
      await client?.end().catch(() => undefined)
    },
  }
}
