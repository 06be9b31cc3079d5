/** Containments of a test: creates, waits and releases them, and calls as the contained caller. */
import { expect } from 'vitest'
import type { Clock } from './clock.ts'
import { type Ask, fault } from './operator.ts'
import type { Answer, TestPurser } from './purser.ts'

export type Containment = {
  id: string
  state: string
  requestId: string
  cut: { epoch: number; index: number }
  blocks?: string
  revoked: Record<string, number>
  leases: { id: string; state: string }[]
  alsoAffected: { sessions: string[] }
  reachable: { secrets: string[]; audiences: string[]; databases: string[] }
  rotating: { path: string; versions: number[]; state: string; rotation?: string }[]
  needsHands: { kind: string; name: string; reason: string }[]
  outOfReach: { jwt?: string; audience?: string; serialNumber?: string; until: string }[]
}

const reason = 'incident 42'

export function createContain(purser: TestPurser, ask: Ask, clock: Clock) {
  const get = async (id: string): Promise<Containment> =>
    (await ask('getContainment', { name: id })).body as unknown as Containment
  const attempt = (body: object, more: object = {}): Promise<Answer> =>
    ask('createContainment', { body, reason, ...more })
  return {
    attempt,
    get,
    /** All revocations are complete when it returns. */
    async contain(match: object, more: object = {}): Promise<Containment> {
      const answer = await attempt({ match, ...more })
      expect(fault(answer)).toBe('201 ')
      const first = answer.body as unknown as Containment
      // On a busy machine the reply does not wait for the work.
      await expect.poll(async () => (await get(first.id)).state, { timeout: 10_000 }).not.toBe('revoking')
      return first.state === 'revoking' ? get(first.id) : first
    },
    /** Runs the jobs until nothing is left. */
    async settled(id: string): Promise<Containment> {
      for (let runs = 0; runs < 8 && (await get(id)).state !== 'contained'; runs++) {
        clock.advance(1)
        await purser.runJobs()
      }
      return get(id)
    },
    release: (id: string, more: object = {}): Promise<Answer> =>
      ask('releaseContainment', { name: id, reason: 'the image was rebuilt', ...more }),
  }
}
