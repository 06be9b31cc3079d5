/** Containers that lease a role and then renew it, return it, end their session, or vanish. */
import { randomInt } from 'node:crypto'
import { setTimeout as pause } from 'node:timers/promises'
import type { TargetServer } from '../../../support/target.ts'
import { type Counts, type SecretLab, createClient, repeat } from './lab.ts'

export type Borrowers = { counts: Counts; stop(): Promise<void> }

type Arrived = {
  accessToken: { token: string }
  databases: { lease: string; username: string; password: string }[]
}

/** Whether the server accepts the login. */
export async function logsIn(target: TargetServer, username: string, password: string): Promise<boolean> {
  try {
    await (await target.login(username, password)).end()
    return true
  } catch {
    return false
  }
}

export function startBorrowers({ cluster, target }: SecretLab, many: number): Borrowers {
  const { evidence, issuer } = cluster
  const counts: Counts = new Map()

  function borrower(n: number) {
    const client = createClient(cluster, n)

    async function borrow(): Promise<void> {
      const proof = { kind: 'jwt', token: await issuer.token({ sub: 'borrower' }) }
      const body = { proof, accessToken: {}, databases: ['orders'] }
      const reply = await client.ask({ method: 'POST', path: '/api/v1/credentials', body })
      if (reply?.status !== 200) return pause(50)
      evidence.take(reply)
      const { accessToken, databases }: Arrived = JSON.parse(reply.text)
      for (const { lease, username, password } of databases) await use(accessToken.token, lease, username, password)
      await pause(randomInt(200))
    }

    async function use(token: string, lease: string, username: string, password: string): Promise<void> {
      const fault = (text: string): void => void evidence.faults.push(`lease ${lease}: ${text}`)
      if (!(await logsIn(target, username, password))) fault('what was given out does not log in')
      const post = (verb: string) => client.ask({ method: 'POST', path: `/api/v1/leases/${lease}:${verb}`, token })
      const choice = randomInt(4)
      if (choice === 0) {
        const reply = await post('revoke')
        // 202 means that a replica is working on it.
        if (reply?.status === 200 && (await logsIn(target, username, password))) fault('was revoked, and logs in')
      }
      if (choice === 1) await post('renew')
      if (choice === 2) await client.ask({ method: 'DELETE', path: '/api/v1/credentials/self', token })
    }

    const running = repeat(borrow)
    return {
      async stop() {
        await running.stop()
        client.close()
        for (const [outcome, count] of client.counts) counts.set(outcome, (counts.get(outcome) ?? 0) + count)
      },
    }
  }

  const borrowers = Array.from({ length: many }, (_, n) => borrower(n))
  return {
    counts,
    async stop() {
      await Promise.all(borrowers.map((borrower) => borrower.stop()))
    },
  }
}
