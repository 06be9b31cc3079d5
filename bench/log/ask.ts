/** Asks questions one after another over one kept connection, and times them. */
import { Agent, request } from 'node:https'
import type { Question, QuestionCase } from './questions.ts'

export type Server = { port: number; roots: string; admin: string }

/** Milliseconds until the whole reply is here. @throws Error for a refusal */
function exchange(agent: Agent, { port, roots, admin }: Server, { method, path, body }: Question): Promise<number> {
  const startedAt = performance.now()
  const headers = {
    authorization: `Bearer ${admin}`,
    'purser-reason': 'benchmark',
    ...(body && { 'content-type': 'application/json' }),
  }
  return new Promise((resolve, reject) => {
    const call = request({ agent, host: '127.0.0.1', port, path, method, ca: roots, servername: 'localhost', headers })
    call.on('response', (reply) => {
      let text = ''
      reply.on('data', (chunk: Buffer) => (text += chunk.toString()))
      reply.on('end', () => {
        if ((reply.statusCode ?? 0) < 300) resolve(performance.now() - startedAt)
        else reject(new Error(`${path}: ${reply.statusCode} ${text.slice(0, 500)}`))
      })
    })
    call.on('error', reject).end(body && JSON.stringify(body))
  })
}

/** `first`: of the first question. `warm`: of all others. */
export type Times = { first: number; warm: number[] }

/** @param max the number of questions */
export async function ask(server: Server, { ask: question, max = 60 }: QuestionCase): Promise<Times> {
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  try {
    // The connection is not part of the first time.
    await exchange(agent, server, { method: 'GET', path: '/api/v1/server' })
    const times: number[] = []
    for (let n = 0; n < max; n++) times.push(await exchange(agent, server, question(n)))
    const [first = 0, ...warm] = times
    return { first, warm }
  } finally {
    agent.destroy()
  }
}

/** The rank of a share of the times, such as 0.99. */
export function percentile(times: readonly number[], share: number): number {
  const sorted = times.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0
}
