// A Postgres client with a certificate from Purser. It accepts only the database with the given SPIFFE ID.
import { connect } from '@purser/sdk'
import { Client as PgClient, Pool } from 'pg'

const purser = await connect()

// Each new connection uses the current certificate, so that the pool survives renewals.
class Client extends PgClient {
  constructor(config) {
    const ssl = purser.tls.client({ accept: 'spiffe://dev.purser.local/dev/orders' })
    super({ ...config, ssl })
    // In pg the connection string wins: with sslmode=no-verify the client would accept any server.
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
