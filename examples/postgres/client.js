// A Postgres client whose certificate comes from Purser, and that speaks to one database alone: the one with that SPIFFE ID.
import { connect } from '@purser/sdk'
import { Client as PgClient, Pool } from 'pg'

const purser = await connect()

// The certificate as it is at each new connection, so that the pool goes on when it was renewed.
class Client extends PgClient {
  constructor(config) {
    const ssl = purser.tls.client({ accept: 'spiffe://dev.purser.local/dev/orders' })
    super({ ...config, ssl })
    // In pg a connection string wins: with sslmode=no-verify any server would pass for the database.
    if (this.ssl !== ssl) throw new Error('DATABASE_URL sets TLS by sslmode or another name in ssl: leave that out')
  }
}

const pool = new Pool({ Client, connectionString: process.env.DATABASE_URL })
const { rows } = await pool.query(`
  select current_user as role, version as tls, client_serial = ${BigInt(`0x${purser.x509.serialNumber}`)} as ours
  from pg_stat_ssl where pid = pg_backend_pid()`)
console.log(rows[0])
await pool.end()
purser.close()
