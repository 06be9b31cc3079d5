/** The environment of the demo: a Purser server on the embedded store in a temporary folder, and an operator's token. */
import { generateKeyPairSync } from 'node:crypto'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readConfig } from '../../config.ts'
import { type Api, createApi, withApi } from '../api.ts'
import type { Io } from '../io.ts'
import { createStandIn } from '../stand-in.ts'
import { isDatabaseConfigured, openDatabase } from './database.ts'

export type Stage = Awaited<ReturnType<typeof setStage>>

const trustDomain = 'demo.purser.local'

/** Everything is removed when it fails, and when it is stopped. */
export async function setStage(io: Pick<Io, 'stderr' | 'readFile' | 'env'>) {
  const folder = mkdtempSync(join(tmpdir(), 'purser-demo-'))
  const ends: (() => unknown)[] = [() => rmSync(folder, { recursive: true, force: true })]
  /** Runs every step, even after a failure. */
  const stop = async (): Promise<void> => {
    const failures: unknown[] = []
    for (const end of ends.toReversed()) {
      try {
        await end()
      } catch (error) {
        failures.push(error)
      }
    }
    if (failures.length > 0) throw failures[0]
  }
  const opening = openDatabase(io)
  opening.catch(() => undefined)
  ends.push(async () => {
    const database = await opening.catch(() => undefined)
    if (database && 'stop' in database) await database.stop()
  })
  try {
    // A database that cannot be used ends the demo before the server starts. Our own starts beside the server.
    if (isDatabaseConfigured(io)) await opening
    const parts = await build(io, folder, ends)
    /** Registers a clean-up step; they run in reverse order. */
    const atEnd = (end: () => unknown): void => void ends.push(end)
    /** `database`: in it Purser rotates a password. */
    return { ...parts, database: await opening, atEnd, stop }
  } catch (error) {
    await stop()
    throw error
  }
}

async function build(io: Pick<Io, 'stderr' | 'readFile'>, folder: string, ends: (() => unknown)[]) {
  // The caller's environment is ignored, so that the demo is the same everywhere.
  const config = readConfig({
    env: {},
    overrides: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_LISTEN: '127.0.0.1:0',
      PURSER_DATA_DIR: folder,
      PURSER_LOG_LEVEL: 'error',
    },
    readFile: io.readFile,
  })
  const { createLogger } = await import('../../telemetry/log.ts')
  const { start } = await import('../../start/server.ts')
  const running = await start(config, { log: createLogger({ level: config.log.level, stream: io.stderr }) })
  ends.push(() => running.stop())

  const client = { PURSER_ADDR: running.url, PURSER_CA_FILE: join(folder, 'ca.pem') }
  const token = await withApi({ env: client, readFile: io.readFile }, {}, (api) => exchange(api, folder))
  const env = { ...client, PURSER_API_TOKEN: token }
  const api = createApi({ env, readFile: io.readFile })
  ends.push(() => api.close())
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
  return {
    url: running.url,
    trustDomain,
    audience: config.audiences[0] ?? config.publicUrl,
    /** PEM. */
    roots: running.roots,
    /** The verification keys of the log. */
    vkeys: running.vkeys,
    /** A client with the operator's token. */
    api,
    standIn: createStandIn(`https://stand-in.${trustDomain}`, privateKey),
    /** A file for a shell to source, with the operator's environment. */
    envFile: writeEnv(join(folder, 'env'), { ...env, PURSER_LOG_KEY: running.vkeys.join(',') }),
  }
}

async function exchange(api: Api, folder: string): Promise<string> {
  const token = readFileSync(join(folder, 'bootstrap-token'), 'utf8').trim()
  return (await api.call('POST', '/api/v1/bootstrap', { token })).body.token
}

function writeEnv(path: string, values: Record<string, string>): string {
  const lines = Object.entries(values).map(([name, value]) => `export ${name}='${value}'\n`)
  writeFileSync(path, lines.join(''), { mode: 0o600 })
  return path
}
