/** A deployment with its own identity: it calls an API with a token that was issued for this job. */
import { connect } from '@purser/sdk'

const purser = await connect({ x509: false, jwts: ['deploy-api'] })
const entry = `log entry ${purser.receipt?.epoch}/${purser.receipt?.index}`
process.stdout.write(`${purser.spiffeId}, session ${purser.session.id}, ${entry}\n`)

const response = await fetch(process.env.DEPLOY_URL ?? '', {
  method: 'POST',
  headers: { authorization: `Bearer ${await purser.jwt('deploy-api')}` },
})
process.stdout.write(`deployed: ${response.status}\n`)
purser.close()
if (!response.ok) process.exitCode = 1
