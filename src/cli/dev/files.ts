/** Files that `purser dev` keeps in its data directory, so that the next start continues. */
import { type KeyObject, createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Two workloads, so that one can call the other. */
export const devWorkloads = ['web', 'orders'] as const
export type DevWorkload = (typeof devWorkloads)[number]

export type DevFiles = {
  /** The files with a workload's token from the stand-in, and with the environment for its SDK. */
  workload(name: DevWorkload): { tokenFile: string; envFile: string }
  adminFile: string
  /** The port of the first start, which is part of the issuer. */
  port(first: () => Promise<number>): Promise<number>
  standInKey(): KeyObject
  admin(): string | undefined
  keepAdmin(token: string): void
  keepToken(name: DevWorkload, token: string): void
  keepEnv(name: DevWorkload, env: Readonly<Record<string, string>>): void
  /** A file for a shell to source, with the operator's environment. */
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

  /** Atomic, since curl may read the file at the same time. */
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
      const stored = Number(read(portFile))
      if (Number.isInteger(stored) && stored > 0) return stored
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
