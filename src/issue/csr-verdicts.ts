import { hash } from 'node:crypto'
import { CsrError, type CsrVerdict, type RefuseKey, maxCsrBytes, readCsr } from './csr.ts'

/**
 * Remembers requests that were found good, by the SHA-256 of their text: a workload renews with the request that it
 * made once, and importing a key and verifying a signature cost more than issuing does. A verdict depends on the text
 * alone; whether the key may still be used is asked every time. Refusals are not kept: strangers could fill the memory.
 */
export function createCsrVerdicts(parts: { max: number }): {
  read: (pem: string, refuseKey?: RefuseKey) => CsrVerdict
} {
  const known = new Map<string, CsrVerdict>()

  function remember(digest: string, verdict: CsrVerdict): CsrVerdict {
    // A Map iterates in the order of insertion, so the first key is the one used least lately
    if (known.size >= parts.max) known.delete(known.keys().next().value ?? '')
    known.set(digest, verdict)
    return verdict
  }

  return {
    read(pem, refuseKey = () => false) {
      if (pem.length > maxCsrBytes) throw new CsrError('too_large')
      const digest = hash('sha256', pem, 'base64')
      const found = known.get(digest)
      if (found) known.delete(digest)
      const verdict = remember(digest, found ?? readCsr(pem))
      if (refuseKey(verdict.publicKeySha256)) throw new CsrError('refused_key')
      return verdict
    },
  }
}
