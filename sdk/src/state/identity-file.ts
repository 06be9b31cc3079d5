/**
 * Key and certificate, kept in PURSER_STATE_DIR over a restart, so that it renews by certificate and a Purser that is away
 * doesn't keep a container from starting.
 */
import { X509Certificate, createPrivateKey } from 'node:crypto'
import { rm } from 'node:fs/promises'
import { join } from 'node:path'
import { readCertificates } from '../certificates/certificates.ts'
import { type DirectoryLock, lockDirectory } from './directory-lock.ts'
import { wordsOf } from '../errors.ts'
import { type Fields, fields, holder, parseFields, text, time } from '../json/fields.ts'
import { readPrivate, writePrivate } from './private-file.ts'

/** A renewal that was under way: its key, PEM, unless the server was to make it, and when it was sent first. */
export type PendingKey = { privateKey?: string; sentAt: Date }

export type KeptIdentity = {
  /** Of the server that issued it. */
  origin: string
  /** Whom the proof spoke of, hashed; undefined where that is not known. */
  subject?: string | undefined
  trustDomain: string
  spiffeId: string
  workload: { id: string; name: string; revision: number }
  session: { id: string; expiresAt: Date }
  certificateChain: string
  trustBundle: string
  privateKey: string
  serialNumber: string
  notAfter: Date
  renewAfter: Date
  pending?: PendingKey | undefined
}

export type IdentityFile = {
  /** What is there and still valid. Undefined else: one that is damaged is warned of, and never in the way. */
  read(now: Date): Promise<KeptIdentity | undefined>
  /**
   * Takes the directory over where another process had it until now. Failures are warned of once: the identity itself is
   * not at stake.
   * @returns whether nothing older is there: this was written, or nothing is ours to be found
   */
  write(kept: KeptIdentity): Promise<boolean>
  release(): void
}

/** @param warn told where the directory can't be used: another process has it, or the file system says no */
export async function openIdentityFile(dir: string, warn: (warning: string) => void): Promise<IdentityFile> {
  const path = join(dir, 'identity.json')
  let lock: DirectoryLock | undefined
  let isReleased = false
  const told = new Set<string>()
  function warnOnce(about: string, warning: string): void {
    if (!told.has(about)) warn(warning)
    told.add(about)
  }

  async function isOurs(): Promise<boolean> {
    if (isReleased) return false
    try {
      lock ??= await lockDirectory(dir)
    } catch (error) {
      warnOnce('lock', `key and certificate can't be kept in ${dir}: ${wordsOf(error)}`)
      return false
    }
    if (!lock)
      warnOnce(
        'lock',
        `another process uses ${dir}, so key and certificate are not kept there until it ends: ` +
          'give each process a directory',
      )
    // Closed meanwhile.
    if (isReleased) lock?.release()
    return lock !== undefined && !isReleased
  }

  const failed = (error: unknown): false => {
    warnOnce('file', `key and certificate can't be kept in ${path}: ${wordsOf(error)}`)
    return false
  }

  await isOurs()
  return {
    async read(now) {
      if (!lock) return undefined
      try {
        const found = await readPrivate(path)
        if (found === undefined) return undefined
        const kept = readKept(parseFields(found, 'the file'))
        return kept.notAfter > now ? kept : undefined
      } catch (error) {
        warn(`${path} is not used: ${wordsOf(error)}`)
        return undefined
      }
    },
    async write(kept) {
      if (!(await isOurs())) return true
      const text = `${JSON.stringify({ v: 1, ...kept })}\n`
      if (await writePrivate(path, text).then(() => true, failed)) return true
      // A full disk still lets go of what is there.
      return rm(path, { force: true }).then(() => true, failed)
    },
    release() {
      isReleased = true
      lock?.release()
    },
  }
}

/** Checked as far as a mix-up would hurt: key and certificate belong together, and the chain is readable. */
function readKept(json: Fields): KeptIdentity {
  const { v, pending } = json
  if (v !== 1) throw new Error('it was written by another version')
  const certificateChain = text(json.certificateChain, 'certificateChain')
  const privateKey = text(json.privateKey, 'privateKey')
  const [leaf] = readCertificates(certificateChain) ?? []
  if (!leaf?.checkPrivateKey(createPrivateKey(privateKey))) throw new Error('key and certificate are not of each other')
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
