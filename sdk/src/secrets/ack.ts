/** Acknowledges versions that are in use, so that a rotation need not wait for this session. */
import { refusalOf } from '../connection/refusal.ts'
import type { Transport } from '../connection/transport.ts'
import { isAway, wordsOf } from '../errors.ts'
import type { Authentication } from '../identity/authentication.ts'
import { delayAfter, sleep } from '../time/retry.ts'
import type { Secret } from '../types/secrets.ts'
import { authenticate } from './read.ts'

/** A version that is older than this is not acknowledged at the start: no rotation waits that long by default. */
const newForMs = 7 * 86_400_000

type Parts = {
  transport: Transport
  authentication: Authentication
  closing: AbortSignal
  warn: (warning: string) => void
  random: () => number
}

export function createAcks({ transport, authentication, closing, warn, random }: Parts) {
  /** Versions to acknowledge, by path. */
  const pending = new Map<string, number>()
  const sentAtStart = new Map<string, number>()

  /** @throws PurserError */
  async function send(path: string, version: number, signal: AbortSignal): Promise<void> {
    const request = { method: 'POST', path: `/api/v1/secrets/${path}:ack`, maxBytes: 64 * 1024 } as const
    const body = JSON.stringify({ version })
    const answer = await transport.exchange({ ...request, body, ...authenticate(authentication) }, signal)
    // The server has nothing to acknowledge: an earlier answer may have been lost.
    if (answer.status === 404) return
    if (answer.status < 200 || answer.status > 299) throw refusalOf(answer, 'to acknowledge a version')
  }

  async function retry(path: string, version: number): Promise<void> {
    for (let failures = 1; pending.get(path) === version && !closing.aborted; failures++) {
      try {
        await send(path, version, closing)
        return
      } catch (error) {
        if (closing.aborted) return
        if (!isAway(error))
          return warn(`version ${version} of ${path} is in use, but Purser did not accept that: ${wordsOf(error)}`)
        transport.rest()
        await sleep(delayAfter(error, failures, random), closing)
      }
    }
  }

  /** Retries until Purser accepts or refuses, or a newer version replaces this one. */
  function sendInBackground(path: string, version: number): void {
    pending.set(path, version)
    void retry(path, version).finally(() => {
      if (pending.get(path) === version) pending.delete(path)
    })
  }

  return {
    send,
    sendInBackground,
    /**
     * Acknowledges the version that a program holds when it begins to watch: after a restart within a session, it has the
     * new version from the start, and no change event follows. No rotation waits for a first or an old version.
     */
    sendAtStart({ path, version, createdAt }: Pick<Secret, 'path' | 'version' | 'createdAt'>): void {
      if (version === 1 || sentAtStart.get(path) === version || Date.now() - createdAt.getTime() > newForMs) return
      sentAtStart.set(path, version)
      sendInBackground(path, version)
    },
  }
}
