/** Tells Purser that a version is in use, so that a rotation needn't wait for this session. */
import { PurserError, isAway } from '../errors.ts'
import type { Credential } from '../identity/authentication.ts'
import { refusalOf } from '../connection/refusal.ts'
import type { Transport } from '../connection/transport.ts'
import { restFor, waitAfter } from '../time/retry.ts'
import { shownBy } from './read.ts'
import type { Secret } from '../types/secrets.ts'

export type Acks = {
  /** @throws PurserError */
  once(path: string, version: number, signal: AbortSignal): Promise<void>
  /** Again until it is taken, refused, or of no interest any more. */
  inBackground(path: string, version: number): void
  /**
   * What is at hand when a program begins to watch is in use: a process that was started again within its session has the
   * new version from the start, and would never be told of it. Of the first version, or an old one, nobody waits to hear.
   */
  startedWith(secret: Pick<Secret, 'path' | 'version' | 'createdAt'>): void
}

/** A rotation that waits longer for its consumers has a deadline of its own choice. */
const newForMs = 7 * 86_400_000

type Parts = {
  transport: Transport
  credential: Credential
  closing: AbortSignal
  warn: (warning: string) => void
  random: () => number
}

export function createAcks({ transport, credential, closing, warn, random }: Parts): Acks {
  /** By path: what is to be said of it. */
  const newest = new Map<string, number>()
  const started = new Map<string, number>()

  async function once(path: string, version: number, signal: AbortSignal): Promise<void> {
    const request = { method: 'POST', path: `/api/v1/secrets/${path}:ack`, maxBytes: 64 * 1024 } as const
    const answer = await transport.exchange(
      { ...request, body: JSON.stringify({ version }), ...shownBy(credential) },
      signal,
    )
    // Said before: an answer may have got lost.
    if (answer.status === 404) return
    if (answer.status < 200 || answer.status > 299) throw refusalOf(answer, 'to take note of a version in use')
  }

  async function keepSaying(path: string, version: number): Promise<void> {
    for (let failures = 1; newest.get(path) === version && !closing.aborted; failures++) {
      try {
        await once(path, version, closing)
        return
      } catch (error) {
        if (closing.aborted) return
        if (!isAway(error)) {
          const words = error instanceof PurserError ? error.message : String(error)
          return warn(`version ${version} of ${path} is in use, but Purser did not take note: ${words}`)
        }
        transport.rest()
        await restFor(waitAfter(error, failures, random), closing)
      }
    }
  }

  function inBackground(path: string, version: number): void {
    newest.set(path, version)
    void keepSaying(path, version).finally(() => {
      if (newest.get(path) === version) newest.delete(path)
    })
  }

  return {
    once,
    inBackground,
    startedWith({ path, version, createdAt }) {
      if (version === 1 || started.get(path) === version || Date.now() - createdAt.getTime() > newForMs) return
      started.set(path, version)
      inBackground(path, version)
    },
  }
}
