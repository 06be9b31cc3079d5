/**
 * Keeps the listeners' certificate and trusted roots current. The certificate is renewed at half its lifetime, when the CA
 * rotates and when it is revoked. Open connections stay open.
 */
import { readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { Job } from '../jobs/runner.ts'
import { trustedRoots } from '../keys/bundle.ts'
import { signingKey } from '../keys/keys.ts'
import type { Snapshots } from '../store/snapshot.ts'
import { type IdentityParts, type ServerIdentity, type Tls, serverIdentity } from './tls.ts'

export type ListenerCertificateParts = IdentityParts & {
  tls: Tls | { kind: 'off' }
  snapshots: Pick<Snapshots, 'current'>
  dataDir: string
  /** Installs a new certificate at every listener. */
  swap: (identity: ServerIdentity) => void
  onRenewed: () => void
}

export async function keepListenerCertificate(parts: ListenerCertificateParts) {
  const { tls, snapshots, now, swap } = parts
  const rootsNow = (): string => trustedRoots(snapshots.current(), now())
  const make = (): Promise<ServerIdentity | undefined> =>
    tls.kind === 'off' ? Promise.resolve(undefined) : serverIdentity(tls, roots, parts)

  /** Replaced in one step, since several workers write the file. */
  function write(pem: string): void {
    const path = join(parts.dataDir, 'ca.pem')
    const draft = `${path}.${parts.randomBytes(8).toString('hex')}`
    writeFileSync(draft, pem)
    renameSync(draft, path)
  }

  let roots = rootsNow()
  write(roots)
  let identity = await make()

  function isDue({ notBefore, notAfter, cert, issued }: ServerIdentity): boolean {
    const time = now()
    if (tls.kind === 'files') return readFileSync(tls.certFile, 'utf8') !== cert
    if (time.getTime() >= (notBefore.getTime() + notAfter.getTime()) / 2) return true
    if (!issued) return false
    const snapshot = snapshots.current()
    // Without a signing key there is no better certificate.
    const signing = signingKey(snapshot, 'issuing-ca', time)
    if (signing && signing.id !== issued.keyId) return true
    return snapshot.blocks.isNewlyRevoked('serialNumber', issued.serialNumber)
  }

  const job: Job = {
    name: 'listener-certificate',
    everySeconds: 1,
    async run() {
      const next = rootsNow()
      const changed = next !== roots
      roots = next
      if (changed) write(roots)
      if (!identity) return
      const due = isDue(identity)
      const renewed = due ? await make() : identity
      if (!renewed || !(due || changed)) return
      // Throws where the key does not match the certificate: the files may be half replaced. The next run tries again.
      swap({ ...renewed, ca: roots })
      identity = renewed
      if (due) parts.onRenewed()
    },
  }
  return {
    /** Undefined where the listeners are plain HTTP. */
    get identity() {
      return identity
    },
    job,
  }
}
