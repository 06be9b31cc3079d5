/**
 * Measures the start of a container: from the start of its process to its first credential with verified receipt, on a warm
 * server. For comparison, a process without the SDK sends the same two requests, without key, checks and receipt.
 */
import { execFile } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { fileURLToPath, pathToFileURL } from 'node:url'
import { promisify } from 'node:util'
import { createCsr } from '@purser/sdk/csr'
import { token } from './issuing.ts'
import { printTimes } from './print.ts'

const root = fileURLToPath(new URL('..', import.meta.url))
const run = promisify(execFile)

/** Milliseconds from the start of the process, and of each step. */
type Times = Record<string, number>

const withSdk = `
const booted = performance.now()
const { connect } = await import(${JSON.stringify(pathToFileURL(join(root, 'sdk/dist/index.js')))})
const loaded = performance.now()
const purser = await connect({ onWarning: () => undefined })
const connected = performance.now()
if (!purser.x509.certificateChain || !purser.receipt) throw new Error('nothing came')
console.log(JSON.stringify({ total: connected, node: booted, load: loaded - booted, connect: connected - loaded }))
purser.close()`

const bare = `
import { Agent, request } from 'node:https'
import { readFileSync } from 'node:fs'
const booted = performance.now()
const agent = new Agent({ keepAlive: true, ca: readFileSync(process.env.PURSER_CA_FILE), servername: 'localhost' })
const ask = (method, path, body) => new Promise((resolve, reject) => {
  const headers = body ? { 'content-type': 'application/json', 'content-length': Buffer.byteLength(body) } : {}
  const sent = request(process.env.PURSER_ADDR + path, { agent, method, headers }, (reply) => {
    let text = ''
    reply.on('data', (chunk) => (text += chunk)).on('end', () => (reply.statusCode < 300 ? resolve(text) : reject(new Error(text))))
  })
  sent.on('error', reject).end(body)
})
await ask('GET', '/api/v1/server')
const proof = { kind: 'jwt', token: readFileSync(process.env.PURSER_PROOF_FILE, 'utf8') }
await ask('POST', '/api/v1/credentials', JSON.stringify({ proof, x509: { csr: process.env.BENCH_CSR } }))
const got = performance.now()
console.log(JSON.stringify({ total: got, node: booted, connect: got - booted }))
agent.destroy()`

/** @param port of a registered server */
export async function startup(port: number, dataDir: string, runs: number): Promise<void> {
  const proofFile = join(dataDir, 'bench-proof')
  const env = {
    PATH: process.env.PATH,
    PURSER_ADDR: `https://127.0.0.1:${port}`,
    PURSER_CA_FILE: join(dataDir, 'ca.pem'),
    PURSER_PROOF_FILE: proofFile,
    BENCH_CSR: createCsr(generateKeyPairSync('ec', { namedCurve: 'P-256' }).privateKey),
  }
  await readFile(env.PURSER_CA_FILE)
  const kinds = { sdk: withSdk, bare }
  const times: { sdk: Times[]; bare: Times[] } = { sdk: [], bare: [] }
  // The two kinds alternate, so that both run under the same conditions. The first run of each is a warm-up.
  for (let n = 0; n <= runs; n++) {
    for (const kind of ['sdk', 'bare'] as const) {
      await writeFile(proofFile, await token())
      const { stdout } = await run(process.execPath, ['--input-type=module', '-e', kinds[kind]], { env })
      if (n > 0) times[kind].push(JSON.parse(stdout) as Times)
    }
  }
  printTimes('SDK: process start to first credential', times.sdk.map((times) => times.total ?? 0)) // prettier-ignore
  printTimes('  of it: Node.js itself', times.sdk.map((times) => times.node ?? 0)) // prettier-ignore
  printTimes('  of it: loading the SDK', times.sdk.map((times) => times.load ?? 0)) // prettier-ignore
  printTimes('  of it: connect()', times.sdk.map((times) => times.connect ?? 0)) // prettier-ignore
  printTimes('bare: the same two requests', times.bare.map((times) => times.connect ?? 0)) // prettier-ignore
}
