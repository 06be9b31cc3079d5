// A Postgres client whose certificate comes from Purser, and that speaks to one database alone: the one with that SPIFFE ID.
import { connect } from '@purser/sdk'
import pg from 'pg'

const purser = await connect()

// The certificate as it is at each new connection, so that the pool goes on when it was renewed.
class Client extends pg.Client {
  constructor(config) {
    super({ ...config, ssl: purser.tls.client({ accept: 'spiffe://dev.purser.local/dev/orders' }) })
  }
}

const pool = new pg.Pool({ Client, connectionString: process.env.DATABASE_URL })
const { rows } = await pool.query(`
  select current_user as role, version as tls, client_serial = ${BigInt(`0x${purser.x509.serialNumber}`)} as ours
  from pg_stat_ssl where pid = pg_backend_pid()`)
console.log(rows[0])
await pool.end()
purser.close()
