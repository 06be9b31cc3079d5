/** What the demo plays on: a whole Purser on the embedded store in a folder of its own, and an operator's token. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../config.ts'
import { type Api, createApi } from '../api.ts'
import { freePort } from '../dev/free-port.ts'
import type { Io } from '../io.ts'
import { type StandIn, createStandIn } from '../stand-in.ts'

export type Stage = {
  url: string
  folder: string
  trustDomain: string
  audience: string
  /** PEM, and the same in a file. */
  roots: string
  rootsFile: string
  /** The log's verification keys, which no later reply is asked for. */
  vkeys: string[]
  /** As the operator. */
  api: Api
  standIn: StandIn
  /** A file that a shell reads to become this operator, too. */
  envFile: string
  stop(): Promise<void>
}

export const trustDomain = 'demo.purser.local'

export async function setStage(io: Pick<Io, 'stderr' | 'readFile'>): Promise<Stage> {
  const folder = mkdtempSync(join(tmpdir(), 'purser-demo-'))
  const port = await freePort(8443)
  // Of the caller's environment nothing is taken: the demo is the same everywhere.
  const config = readConfig({
    env: {},
    overrides: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_LISTEN: `127.0.0.1:${port}`,
      PURSER_DATA_DIR: folder,
      PURSER_LOG_LEVEL: 'error',
    },
    readFile: io.readFile,
  })
  const { createLog } = await import('../../telemetry/log.ts')
  const { start } = await import('../../server.ts')
  const running = await start(config, { log: createLog({ level: config.log.level, stream: io.stderr }) })
  const rootsFile = join(folder, 'ca.pem')
  const anonymous = createApi({ env: {}, readFile: io.readFile }, { addr: running.url, caFile: rootsFile })
  const bootstrap = readFileSync(join(folder, 'bootstrap-token'), 'utf8').trim()
  const { body } = await anonymous.call<{ token: string }>('POST', '/api/v1/bootstrap', { token: bootstrap })
  anonymous.close()

  const settings = { PURSER_ADDR: running.url, PURSER_CA_FILE: rootsFile, PURSER_API_TOKEN: body.token }
  const api = createApi({ env: settings, readFile: io.readFile })
  const envFile = join(folder, 'env')
  const exports = Object.entries({ ...settings, PURSER_LOG_KEY: running.vkeys.join(',') })
  writeFileSync(envFile, exports.map(([name, value]) => `export ${name}='${value}'\n`).join(''), { mode: 0o600 })
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    url: running.url,
    folder,
    trustDomain,
    audience: config.audiences[0] ?? config.publicUrl,
    roots: running.roots,
    rootsFile,
    vkeys: running.vkeys,
    api,
    standIn: createStandIn(`https://stand-in.${trustDomain}`, privateKey),
    envFile,
    async stop() {
      api.close()
      await running.stop()
      rmSync(folder, { recursive: true, force: true })
    },
  }
}
