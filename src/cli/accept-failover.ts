/** `purser log accept-failover`: compares the log with every known head, and binds it to the current database server. */
import { randomBytes } from 'node:crypto'
import { acceptServer } from '../audit/database-server.ts'
import { contradiction } from '../audit/head-evidence.ts'
import { originOf } from '../audit/log.ts'
import { readTree } from '../audit/read-tree.ts'
import { readConfig } from '../config.ts'
import { logVkey } from '../keys/keys.ts'
import { openOwnDatabase } from '../start/open-offline.ts'
import { createOutbound } from '../outbound/client.ts'
import { readKeys } from '../store/keys.ts'
import { readServer } from '../store/database-server.ts'
import { headPlaces, readHeads } from './new-epoch.ts'
import { CliError, type Io, exitCodes } from './io.ts'

export type Accepted = { from: string; to: string; size: number; compared: string[] }

type Options = { reason: string; known: readonly string[] }

export async function acceptFailover(io: Io, { reason, known: files }: Options): Promise<Accepted> {
  const config = readConfig({ env: io.env, readFile: io.readFile })
  const outbound = createOutbound({ allow: config.fetchAllow })
  try {
    const heads = await readHeads(io, headPlaces(config, outbound), files)
    return await openOwnDatabase(config, async ({ db, head }) => {
      const { knex } = db
      if (head.closed) throw new CliError(`${head.closed.reason}: ${refusal}`, exitCodes.unverified)
      const from = head.server
      const { server: to } = await readServer(knex)
      if (from === undefined)
        throw new CliError('there is nothing to accept: the log is not bound to a database server')
      if (to === undefined) throw new CliError('Postgres hides its system identifier or timeline: run `purser doctor`') // prettier-ignore
      if (from === to) throw new CliError(`there is nothing to accept: the log is already bound to this server (${to})`)
      const logKeys = (await readKeys(knex)).filter((row) => row.kind === 'log')
      const vkeys = logKeys.map((row) => logVkey(row, originOf(head.trustDomain, row.epoch ?? 0)))
      const tree = await readTree(knex, head.epoch, head.size)
      for (const place of heads) {
        const fault = await contradiction(tree, { ...head, vkeys }, place)
        if (fault !== undefined) throw new CliError(`${fault}: ${refusal}`, exitCodes.unverified)
      }
      await acceptServer({ knex, now: () => new Date(), randomBytes, from, to, basis: 'accepted', reason })
      await db.close()
      return { from, to, size: head.size, compared: heads.map(({ where }) => where) }
    })
  } finally {
    outbound.close()
  }
}

const refusal = 'entries were lost, so the fail-over cannot be accepted. Restore the newest database, or stop every replica and run `purser log new-epoch`' // prettier-ignore
