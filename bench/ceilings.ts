/** Upper bounds of the issuance rate on the same machine: the rate of signatures, and the rate of bare Express replies. */
import { generateKeyPairSync, randomBytes } from 'node:crypto'
import { IncomingMessage, ServerResponse } from 'node:http'
import type { AddressInfo } from 'node:net'
import express from 'express'
import { createCsr } from '@purser/sdk/csr'
import { readCsr } from '../src/issue/csr.ts'
import { createX509Issuer } from '../src/issue/x509-svid.ts'
import { createRootCertificate } from '../src/keys/ca-certificates.ts'
import { createIssuer, serialFrom } from '../src/keys/certificate.ts'
import { load } from './processes.ts'
import { printCeiling } from './print.ts'

/** Measures the rate of X.509-SVIDs that are signed in memory from one checked CSR, without HTTP, attestation and log. */
export function signingRate(): void {
  const now = new Date()
  const end = new Date(now.getTime() + 86_400_000)
  const keys = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  const certificate = createRootCertificate({
    trustDomain: 'bench.example',
    keys,
    serial: serialFrom(randomBytes(16)),
    notBefore: new Date(now.getTime() - 60_000),
    notAfter: end,
  })
  const issuer = createIssuer({ pem: certificate.pem, privateKey: keys.privateKey })
  let count = 0
  const svids = createX509Issuer({ trustDomain: 'bench.example', issuer, count: () => count })
  const key = readCsr(createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey))
  const sign = (): void => {
    count++
    svids.issueSvid({
      key,
      serial: serialFrom(randomBytes(16)),
      now,
      notAfter: new Date(now.getTime() + 3_600_000),
      spiffeId: 'spiffe://bench.example/bench/web',
      dnsNames: ['web.bench'],
    })
  }
  for (let n = 0; n < 500; n++) sign()
  const cpu = process.cpuUsage()
  const started = performance.now()
  const runs = 5_000
  for (let n = 0; n < runs; n++) sign()
  const spent = process.cpuUsage(cpu)
  printCeiling(
    'X.509-SVIDs signed in memory',
    runs / ((performance.now() - started) / 1000),
    (spent.user + spent.system) / runs,
  )
}

/** Measures Express 5, configured as in src/start/app.ts, with a constant reply to POST requests of the same size by plain HTTP. */
export async function bareExpress(count: number): Promise<void> {
  const app = express()
  Object.assign(app, { request: IncomingMessage.prototype, response: ServerResponse.prototype })
  app.disable('x-powered-by')
  const reply = JSON.stringify({ ok: true })
  app.post('/api/v1/credentials', (request, response) => {
    const headers = { 'content-type': 'application/json', 'content-length': reply.length }
    request.resume().on('end', () => response.writeHead(200, headers).end(reply))
  })
  const server = app.listen(0, '127.0.0.1')
  await new Promise((resolve) => server.once('listening', resolve))
  const { port } = server.address() as AddressInfo
  const body = 'x'.repeat(1_200)
  const request = `POST /api/v1/credentials HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: ${body.length}\r\n\r\n${body}`
  let cpu = process.cpuUsage()
  const warmUp = Math.floor(count / 4)
  const job = {
    host: '127.0.0.1',
    port,
    connections: 64,
    requests: Array.from({ length: count }, () => request),
    warmUp,
  }
  const { rate } = await load(job, () => (cpu = process.cpuUsage()))
  const spent = process.cpuUsage(cpu)
  server.close()
  printCeiling('bare Express replies, plain, 64 connections', rate, (spent.user + spent.system) / (count - warmUp))
}
