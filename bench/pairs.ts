/**
 * `npm run bench -- --pair DIR`: this clone beside a built clone of another version. Both servers run at once and take short
 * turns, so that a machine that gets slower or faster changes no ratio.
 */
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { startOwnPostgres } from '../test/support/postgres.ts'
import type * as Issuing from './issuing.ts'
import { exchange, openConnection } from './load.ts'
import { printPair, printTitle } from './print.ts'
import { threadMicros } from './processes.ts'
import type * as Secrets from './secrets.ts'
import type * as ServingModule from './serving.ts'

type Case = { name: string; connections: number; requests: string[] }
type Turn = { rate: number; server: number; database: number }
type Side = {
  /** One turn of each case. Issuers differ, so each clone makes its own requests. */
  cases: (round: number) => Promise<Case[]>
  run: (turn: Case) => Promise<Turn>
}

type Postgres = Awaited<ReturnType<typeof startOwnPostgres>>

export type PairOptions = { workers: number; rounds: number; match: RegExp }

const requestsPerTurn = 160
/** A new server still compiles its code. */
const warmUp = 12

export async function comparePair(other: string, { workers, rounds, match }: PairOptions): Promise<void> {
  const postgres = await startOwnPostgres()
  const results = new Map<string, [theirs: Turn, ours: Turn][]>()
  try {
    await withSide(other, postgres, workers, (theirs) =>
      withSide(fileURLToPath(new URL('..', import.meta.url)), postgres, workers, async (ours) => {
        for (let round = 0; round < warmUp + rounds; round++) {
          const turns = [await theirs.cases(round), await ours.cases(round)] as const
          for (const [n, { name }] of turns[0].entries()) {
            const [theirCase, ourCase] = [turns[0][n], turns[1][n]]
            if (!theirCase || !ourCase || !match.test(name)) continue
            // The second clone finds warmer caches, so the order changes.
            const first = round % 2 === 0 ? await theirs.run(theirCase) : undefined
            const own = await ours.run(ourCase)
            const pair: [Turn, Turn] = [first ?? (await theirs.run(theirCase)), own]
            if (round >= warmUp) results.set(name, [...(results.get(name) ?? []), pair])
          }
        }
      }),
    )
  } finally {
    await postgres.stop()
  }
  printTitle(`This clone to ${other}: ${rounds} pairs of ${requestsPerTurn} requests`)
  for (const [name, pairs] of results) printPair(name, pairs)
}

async function withSide(
  root: string,
  postgres: Postgres,
  workers: number,
  work: (side: Side) => Promise<void>,
): Promise<void> {
  const load = async <T>(file: string): Promise<T> => (await import(pathToFileURL(join(root, 'bench', file)).href)) as T
  const { serving } = await load<typeof ServingModule>('serving.ts')
  const { makeRequests } = await load<typeof Issuing>('issuing.ts')
  const { login, reads, startups, writeCases } = await load<typeof Secrets>('secrets.ts')
  await serving({ postgres, workers, tls: true }, async ({ port, roots, admin, workerPids }) => {
    const host = { host: '127.0.0.1', port, roots }
    const socket = await openConnection(host)
    const bearer = /"token":"(purser_at_[^"]+)"/.exec((await exchange(socket, await login())).text)?.[1] ?? ''
    socket.destroy()
    await work({
      async cases(round) {
        const issue = (kind: Issuing.Credentials) => makeRequests(requestsPerTurn, kind, false, 'ES256')
        return [
          { name: 'certificates 64c', connections: 64, requests: await issue('x509') },
          { name: 'JWTs 64c', connections: 64, requests: await issue('jwt') },
          { name: 'startups 64c', connections: 64, requests: await startups(requestsPerTurn) },
          { name: 'reads 64c', connections: 64, requests: reads(requestsPerTurn, bearer) },
          ...(writeCases(requestsPerTurn, admin, round) as Case[]),
        ]
      },
      async run({ connections, requests }) {
        const sockets = await Promise.all(Array.from({ length: connections }, () => openConnection(host)))
        const cpu = (): [number, number] => [threadMicros(workerPids()), threadMicros([postgres.pid()])]
        const [before, started] = [cpu(), performance.now()]
        let next = 0
        await Promise.all(
          sockets.map(async (connection) => {
            for (let n = next++; n < requests.length; n = next++) {
              const { status, text } = await exchange(connection, requests[n] ?? '')
              if (status >= 300) throw new Error(`a request failed with ${status}: ${text}`)
            }
          }),
        )
        const seconds = (performance.now() - started) / 1000
        const after = cpu()
        for (const connection of sockets) connection.destroy()
        const share = (n: 0 | 1): number => (after[n] - before[n]) / requests.length
        return { rate: requests.length / seconds, server: share(0), database: share(1) }
      },
    })
  })
}
