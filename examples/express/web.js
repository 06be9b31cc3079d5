// Calls `orders`, identified by its SPIFFE ID. It accepts no other server, and its host name does not matter.
import { request } from 'node:https'
import { connect } from '@purser/sdk'

const purser = await connect()
const agent = purser.tls.agent({ accept: 'spiffe://dev.purser.local/dev/orders' })
const headers = { authorization: `Bearer ${await purser.jwt('orders')}` }

const reply = await new Promise((resolve, reject) => {
  const options = { host: '127.0.0.1', port: Number(process.env.PORT ?? 9443), path: '/orders', agent, headers }
  request(options, resolve).on('error', reject).end()
})
for await (const chunk of reply) process.stdout.write(chunk)
process.stdout.write('\n')
purser.close()
