/** Keeps an ID token until it expires, so that the next command needs no login. */
import { createHash } from 'node:crypto'
import { mkdir, readFile, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readProofText } from '../../attest/proof-text.ts'
import { createFileStore } from '../files.ts'
import type { Io } from '../io.ts'
import type { Login } from './client.ts'

/** A token that ends within this time is not used: attesting and reading secrets take time. */
const marginSeconds = 60

/** @param addr the address of the server: one person may be known to several */
export function createTokenCache({ env }: Pick<Io, 'env'>, addr: string, { issuer, clientId, scopes }: Login) {
  const home = env.XDG_CACHE_HOME || (env.HOME && join(env.HOME, '.cache'))
  const name = createHash('sha256')
    .update(JSON.stringify([addr, issuer, clientId, scopes]))
    .digest('hex')
    .slice(0, 32)
  if (!home) return undefined
  const folder = join(home, 'purser')
  const path = join(folder, name)
  return {
    async read(now: Date): Promise<string | undefined> {
      try {
        const token = await readFile(path, 'utf8')
        const { exp } = readProofText(token).claims
        return typeof exp === 'number' && exp - marginSeconds > now.getTime() / 1000 ? token : undefined
      } catch {
        return undefined
      }
    },
    async write(token: string): Promise<void> {
      await mkdir(home, { recursive: true, mode: 0o700 })
      await createFileStore(folder).write([{ name, text: token, what: 'ID token' }])
    },
    forget: (): Promise<void> => rm(path, { force: true }),
  }
}
