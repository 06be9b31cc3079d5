// A service that only `web` may call: mutual TLS identifies the caller, and its token is addressed to this service.
import { connect } from '@purser/sdk'
import { requireIdentity } from '@purser/sdk/express'
import express from 'express'

const purser = await connect()
const app = express()

app.use(requireIdentity(purser, { audience: 'orders', mtls: false }))
app.get('/orders', (request, response) => {
  response.json({ orders: ['tea', 'rope'], caller: request.identity.spiffeId })
})

const server = purser.tls.server({ accept: 'spiffe://dev.purser.local/dev/web' }, app)
server.listen(Number(process.env.PORT ?? 9443), '127.0.0.1', () => {
  console.log(`${purser.spiffeId} listens on https://127.0.0.1:${server.address().port}`)
})
process.once('SIGTERM', () => purser.close())
