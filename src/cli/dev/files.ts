/** What `purser dev` keeps in its data directory, so that it comes up again as it was. */
import { type KeyObject, createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** The stand-in starts two, so that one can call the other. */
export const devWorkloads = ['web', 'orders'] as const
export type DevWorkload = (typeof devWorkloads)[number]

export type DevFiles = {
  /** Where the stand-in's token for a workload is, and the environment that its SDK needs. */
  workload(name: DevWorkload): { tokenFile: string; envFile: string }
  adminFile: string
  /** The port of the first start, which is in the issuer's name for good. */
  port(first: () => Promise<number>): Promise<number>
  standInKey(): KeyObject
  admin(): string | undefined
  keepAdmin(token: string): void
  keepToken(name: DevWorkload, token: string): void
  keepEnv(name: DevWorkload, env: Readonly<Record<string, string>>): void
  /** What a shell reads to become the operator. */
  operatorFile: string
  keepOperator(env: Readonly<Record<string, string>>): void
}

export function openDevFiles(dataDir: string): DevFiles {
  const folder = join(dataDir, 'dev')
  mkdirSync(folder, { recursive: true, mode: 0o700 })
  const [portFile, keyFile] = [join(folder, 'port'), join(folder, 'stand-in.key')]
  const adminFile = join(folder, 'admin-token')
  const tokenOf = (name: DevWorkload): string => join(folder, `${name}.jwt`)
  const envOf = (name: DevWorkload): string => join(folder, `${name}.env`)
  const read = (path: string): string | undefined => (existsSync(path) ? readFileSync(path, 'utf8').trim() : undefined)

  /** Whole or not at all: curl may read it just now. */
  function write(path: string, text: string): void {
    writeFileSync(`${path}.new`, `${text}\n`, { mode: 0o600 })
    renameSync(`${path}.new`, path)
  }

  const operatorFile = join(folder, 'operator.sh')
  const lines = (env: Readonly<Record<string, string>>, line: (name: string, value: string) => string): string =>
    Object.entries(env)
      .map(([name, value]) => line(name, value))
      .join('\n')

  return {
    workload: (name) => ({ tokenFile: tokenOf(name), envFile: envOf(name) }),
    adminFile,
    async port(first) {
      const kept = Number(read(portFile))
      if (Number.isInteger(kept) && kept > 0) return kept
      const port = await first()
      write(portFile, String(port))
      return port
    },
    standInKey() {
      const pem = read(keyFile)
      if (pem !== undefined) return createPrivateKey(pem)
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      write(keyFile, String(privateKey.export({ type: 'pkcs8', format: 'pem' })).trim())
      return privateKey
    },
    admin: () => read(adminFile),
    keepAdmin: (token) => write(adminFile, token),
    keepToken: (name, token) => write(tokenOf(name), token),
    keepEnv: (name, env) =>
      write(
        envOf(name),
        lines(env, (key, value) => `${key}=${value}`),
      ),
    operatorFile,
    keepOperator: (env) =>
      write(
        operatorFile,
        lines(env, (key, value) => `export ${key}='${value.replaceAll("'", String.raw`'\''`)}'`),
      ),
  }
}
