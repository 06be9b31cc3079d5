/** A process that holds a data directory: `holder.ts <dir>` prints "open", inserts a row for each input line, and never exits. */
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
