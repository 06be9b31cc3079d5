/** Files that `purser dev` keeps in its data directory, so that the next start continues. */
import { type KeyObject, createPrivateKey, generateKeyPairSync } from 'node:crypto'
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

/** Two workloads, so that one can call the other. */
export const devWorkloads = ['web', 'orders'] as const
export type DevWorkload = (typeof devWorkloads)[number]

export type DevFiles = ReturnType<typeof openDevFiles>

type Variables = Readonly<Record<string, string>>

export function openDevFiles(dataDir: string) {
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

  /** A file for a shell to source, with the operator's environment. */
  const operatorFile = join(folder, 'operator.sh')
  const writeLines = (path: string, env: Variables, line: (variable: [string, string]) => string): void =>
    write(path, Object.entries(env).map(line).join('\n'))

  return {
    /** The files with a workload's token from the stand-in, and with the environment for its SDK. */
    workload: (name: DevWorkload) => ({ tokenFile: tokenOf(name), envFile: envOf(name) }),
    adminFile,
    /** The port of the first start, which is part of the issuer. */
    async port(first: () => Promise<number>): Promise<number> {
      const stored = Number(read(portFile))
      if (Number.isInteger(stored) && stored > 0) return stored
      const port = await first()
      write(portFile, String(port))
      return port
    },
    standInKey(): KeyObject {
      const pem = read(keyFile)
      if (pem !== undefined) return createPrivateKey(pem)
      const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
      write(keyFile, String(privateKey.export({ type: 'pkcs8', format: 'pem' })).trim())
      return privateKey
    },
    admin: () => read(adminFile),
    keepAdmin: (token: string) => write(adminFile, token),
    keepToken: (name: DevWorkload, token: string) => write(tokenOf(name), token),
    keepEnv: (name: DevWorkload, env: Variables) => writeLines(envOf(name), env, (variable) => variable.join('=')),
    operatorFile,
    keepOperator: (env: Variables) =>
      writeLines(operatorFile, env, ([name, value]) => `export ${name}='${value.replaceAll("'", String.raw`'\''`)}'`),
  }
}
