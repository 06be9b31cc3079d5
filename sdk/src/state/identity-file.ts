/**
 * Key and certificate in PURSER_STATE_DIR, for the next start: it can renew by certificate, and start while Purser is away.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readCertificates } from '../certificates/certificates.ts'
import { type DirectoryLock, lockDirectory } from './directory-lock.ts'
import { wordsOf } from '../errors.ts'
import { type Fields, type Holder, fields, holder, parseFields, text, time } from '../json/fields.ts'
import { readPrivate, writePrivate } from './private-file.ts'

/** A renewal in progress: its key (PEM) unless the server makes it, and the time of its first sending. */
export type PendingKey = { privateKey?: string; sentAt: Date }

export type StoredIdentity = Holder & {
  /** The issuing server. */
  origin: string
  /** The proof's subject, hashed; undefined if unknown. */
  subject?: string | undefined
  trustDomain: string
  certificateChain: string
  trustBundle: string
  privateKey: string
  serialNumber: string
  notAfter: Date
  renewAfter: Date
  pending?: PendingKey | undefined
}

export type IdentityFile = Awaited<ReturnType<typeof openIdentityFile>>

/** @param warn receives why the directory is unusable: another process uses it, or the file system refuses */
export async function openIdentityFile(dir: string, warn: (warning: string) => void) {
  const path = join(dir, 'identity.json')
  let lock: DirectoryLock | undefined
  let isReleased = false
  const warned = new Set<string>()
  function warnOnce(about: string, warning: string): void {
    if (!warned.has(about)) warn(warning)
    warned.add(about)
  }

  async function isOurs(): Promise<boolean> {
    if (isReleased) return false
    try {
      lock ??= await lockDirectory(dir)
    } catch (error) {
      warnOnce('lock', `key and certificate can't be stored in ${dir}: ${wordsOf(error)}`)
      return false
    }
    if (!lock)
      warnOnce(
        'lock',
        `another process uses ${dir}, so key and certificate are not stored there until it ends: ` +
          'give each process its own directory',
      )
    // The client was closed meanwhile.
    if (isReleased) lock?.release()
    return lock !== undefined && !isReleased
  }

  const failed = (error: unknown): false => {
    warnOnce('file', `key and certificate can't be stored in ${path}: ${wordsOf(error)}`)
    return false
  }

  await isOurs()
  return {
    /** @returns undefined without a valid identity; a damaged file causes a warning */
    async read(now: Date): Promise<StoredIdentity | undefined> {
      if (!lock) return undefined
      try {
        const content = await readPrivate(path)
        if (content === undefined) return undefined
        const identity = readIdentity(parseFields(content, 'the file'))
        return identity.notAfter > now ? identity : undefined
      } catch (error) {
        warn(`${path} is not used: ${wordsOf(error)}`)
        return undefined
      }
    },
    /**
     * Takes over the directory if another process has released it. Failures cause one warning, since the identity stays
     * usable.
     * @returns false if an older identity remains in the file
     */
    async write(identity: StoredIdentity): Promise<boolean> {
      if (!(await isOurs())) return true
      const text = `${JSON.stringify({ v: 1, ...identity })}\n`
      if (await writePrivate(path, text).then(() => true, failed)) return true
      // On a full disk, the old file can still be removed.
      return rm(path, { force: true }).then(() => true, failed)
    },
    release(): void {
      isReleased = true
      lock?.release()
    },
  }
}

/** Checks that key and certificate belong together, and that the chain is readable. */
function readIdentity(json: Fields): StoredIdentity {
  const { v, pending } = json
  if (v !== 1) throw new Error('another version wrote it')
  const certificateChain = text(json.certificateChain, 'certificateChain')
  const privateKey = text(json.privateKey, 'privateKey')
  const [leaf] = readCertificates(certificateChain) ?? []
  if (!leaf?.checkPrivateKey(createPrivateKey(privateKey)))
    throw new Error('key and certificate do not belong together')
  return {
    origin: text(json.origin, 'origin'),
    ...(json.subject !== undefined && { subject: text(json.subject, 'subject') }),
    trustDomain: text(json.trustDomain, 'trustDomain'),
    ...holder(json),
    certificateChain,
    trustBundle: text(json.trustBundle, 'trustBundle'),
    privateKey,
    serialNumber: text(json.serialNumber, 'serialNumber'),
    notAfter: new Date(new X509Certificate(leaf.raw).validTo),
    renewAfter: time(json.renewAfter, 'renewAfter'),
    ...(pending !== undefined && { pending: readPending(fields(pending, 'pending')) }),
  }
}

const readPending = (pending: Fields): PendingKey => ({
  ...(pending.privateKey !== undefined && { privateKey: text(pending.privateKey, 'pending/privateKey') }),
  sentAt: time(pending.sentAt, 'pending/sentAt'),
})
