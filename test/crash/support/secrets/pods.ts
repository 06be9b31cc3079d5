/** Consumers: sessions that repeatedly read secrets, log in with the values, and acknowledge them. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Knex } from '../../../../src/store/database.ts'
import type { Head } from '../evidence.ts'
import { type Counts, type SecretLab, createClient, repeat } from './lab.ts'
import type { Logins } from './logins.ts'

export type Pods = {
  counts: Counts
  /** Requests whose replies had values. */
  reads(): number
  stop(): Promise<void>
}

type Value = { path: string; version: number; data: { username?: string; password?: string } }

export function startPods(lab: SecretLab, knex: Knex, logins: Logins, many: number): Pods {
  const { cluster, rotated } = lab
  const { evidence, issuer } = cluster
  const counts: Counts = new Map()
  let reads = 0

  /** The live version always logs in: it is set before it becomes live, and retired afterwards. */
  async function use({ path, version, data }: Value): Promise<void> {
    const { username, password } = data
    if (username === undefined || password === undefined) return
    if (await logins.take({ username, password })) return
    const row = await knex('secret').where({ path }).first('version')
    // A version that another rotation replaced meanwhile may be retired.
    if (row?.version === version) evidence.faults.push(`${path} version ${version} is the live one and does not log in`)
  }

  function pod(n: number) {
    const client = createClient(cluster, n)
    let token: string | undefined
    let since: Head | undefined

    async function arrive(): Promise<void> {
      const proof = { kind: 'jwt', token: await issuer.token({ sub: 'pod' }) }
      const body = { proof, accessToken: { lifetimeSeconds: 3600 } }
      const reply = await client.ask({ method: 'POST', path: '/api/v1/credentials', body })
      if (reply?.status !== 200) return pause(50)
      since = evidence.take(reply)
      token = JSON.parse(reply.text).accessToken.token
    }

    async function read(): Promise<void> {
      if (token === undefined) return arrive()
      const secrets = rotated.map(({ path }) => path)
      const body = { secrets, ...(since && { receipt: { sinceSize: since.size } }) }
      const reply = await client.ask({ method: 'POST', path: '/api/v1/secrets:read', body, token })
      if (reply?.status !== 200) return pause(50)
      since = evidence.take(reply, since) ?? since
      reads++
      const { secrets: values }: { secrets: Value[] } = JSON.parse(reply.text)
      for (const value of values) {
        await use(value)
        const { path, version } = value
        if (acknowledged.get(path) === version) continue
        const ack = await client.ask({ method: 'POST', path: `/api/v1/secrets/${path}:ack`, body: { version }, token })
        if (ack?.status !== 204) continue
        acknowledged.set(path, version)
        const index = Number(ack.headers['purser-log-index']?.split('/')[1])
        evidence.changed.push({ index, action: 'secret.ack', name: path })
      }
      await pause(150)
    }
    const acknowledged = new Map<string, number>()
    const running = repeat(read)
    return {
      async stop() {
        await running.stop()
        client.close()
        for (const [outcome, count] of client.counts) counts.set(outcome, (counts.get(outcome) ?? 0) + count)
      },
    }
  }

  const pods = Array.from({ length: many }, (_, n) => pod(n))
  return {
    counts,
    reads: () => reads,
    async stop() {
      await Promise.all(pods.map((pod) => pod.stop()))
    },
  }
}
