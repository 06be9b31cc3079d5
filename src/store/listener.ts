/** LISTEN on a separate connection, which reconnects by itself. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Client } from 'pg'
import { serversLock } from './database-server.ts'
import { type Database, isConnectionError } from './database.ts'

type Subscriber = { fn: (payload: string) => void; onGap: (() => void) | undefined }

const firstPause = 100
const maxPause = 5_000

const quoted = (name: string): string => `"${name.replaceAll('"', '""')}"`

/**
 * The first `listen` fails when Postgres is unreachable. After a later loss the listener reports the error to `onError`,
 * reconnects with growing pauses, and then calls `onGap` of every subscriber.
 * @param connect opens a client that only this listener uses
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
      // Each server listens. Work that must not run beside a server checks this lock (database-server.ts).
      await client.query('select pg_advisory_lock_shared($1)', [serversLock])
      // The iteration of a Map includes channels that are added meanwhile.
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

  /** The first subscriber connects and receives a failure. Later `reopen` handles a broken connection. */
  async function listenOn(channel: string): Promise<void> {
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
        await listenOn(channel)
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
