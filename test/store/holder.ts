/** A process of its own that holds a data directory: `holder.ts <dir>` says "open", writes a row a line, and never ends by itself. */
import { createInterface } from 'node:readline'
import { openEmbedded } from '../../src/store/embedded.ts'

const db = await openEmbedded({ dataDir: process.argv[2] })
await db.knex.raw('create table if not exists item (id int primary key)')
process.stdout.write('open\n')
createInterface({ input: process.stdin }).on('line', (line) => {
  void db
    .knex('item')
    .insert({ id: Number(line) })
    .then(() => process.stdout.write(`${line}\n`))
})
