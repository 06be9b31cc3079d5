/** Operators: one rotates and steers, one writes, one rotates the keyring, so that rewraps always run. */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { Answered } from '../connection.ts'
import { type Counts, type SecretLab, createClient, keptPath, repeat } from './lab.ts'

export type Operators = { counts: Counts; stop(): Promise<void> }

const indexOf = (reply: Answered): number => Number(reply.headers['purser-log-index']?.split('/')[1])

/** @param wrapMs between two rotations of the keyring */
export function startOperators(lab: SecretLab, { plain, wrapMs }: { plain: number; wrapMs: number }): Operators {
  const { cluster, rotated } = lab
  const { evidence, admin } = cluster
  const steering = createClient(cluster, 0)
  const writing = createClient(cluster, 1)
  const wrapping = createClient(cluster, 0)

  /** Mostly starts rotations. A conflict is an acceptable reply. */
  async function steer(): Promise<void> {
    const { path } = rotated[randomInt(rotated.length)] ?? { path: '' }
    const url = `/api/v1/secrets/${path}`
    const post = (verb: string, body: object) =>
      steering.ask({ method: 'POST', path: `${url}:${verb}`, token: admin, body })
    const choice = randomInt(20)
    if (choice === 0) await post('rotation', { do: 'cancel' })
    else if (choice === 1) await post('rotation', { do: 'retire' })
    else if (choice === 2) await post('rotation', { do: 'hold' })
    else if (choice === 3) await post('rotation', { do: 'extend', seconds: 60 })
    else {
      const reply = await post('rotate', {})
      if (reply?.status === 202)
        evidence.changed.push({ index: indexOf(reply), action: 'secret.rotate', name: path, outcome: 'intended' })
    }
    await pause(40)
  }

  const versions = new Map<string, number>()
  async function write(): Promise<void> {
    const n = randomInt(plain)
    const path = keptPath(n)
    const version = versions.get(path) ?? 1
    const reply = await writing.ask({
      method: 'PUT',
      path: `/api/v1/secrets/${path}`,
      token: admin,
      body: { data: { of: n, count: version } },
      headers: { 'if-match': `"${version}"` },
    })
    if (reply?.status === 200) {
      evidence.changed.push({ index: indexOf(reply), action: 'secret.put', name: path })
      versions.set(path, version + 1)
    }
    // A write whose reply was lost may have succeeded.
    if (reply?.status === 412) versions.set(path, version + 1)
    await pause(40)
  }

  async function wrap(): Promise<void> {
    await wrapping.ask({ method: 'POST', path: '/api/v1/keys/keyring:rotate', token: admin })
    await pause(wrapMs)
  }

  const running = [repeat(steer), repeat(write), repeat(wrap)]
  const counts: Counts = new Map()
  return {
    counts,
    async stop() {
      await Promise.all(running.map((operator) => operator.stop()))
      for (const client of [steering, writing, wrapping]) {
        client.close()
        for (const [outcome, count] of client.counts) counts.set(outcome, (counts.get(outcome) ?? 0) + count)
      }
    },
  }
}
