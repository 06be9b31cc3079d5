import { hash } from 'node:crypto'
import { CsrError, type CsrVerdict, type RefuseKey, maxCsrBytes, readCsr } from './csr.ts'

/**
 * Caches accepted requests by the SHA-256 of their text. A workload renews with one request, and importing its key and
 * verifying its signature cost more than issuing. A verdict depends on the text alone; whether the key may be used is
 * checked every time. Refusals are not cached, since strangers could fill the memory with them.
 */
export function createCsrVerdicts(parts: { max: number }): {
  read: (pem: string, refuseKey?: RefuseKey) => CsrVerdict
} {
  const verdicts = new Map<string, CsrVerdict>()

  function remember(digest: string, verdict: CsrVerdict): CsrVerdict {
    // A Map iterates in the order of insertion, so the first key is the least recently used
    if (verdicts.size >= parts.max) verdicts.delete(verdicts.keys().next().value ?? '')
    verdicts.set(digest, verdict)
    return verdict
  }

  return {
    read(pem, refuseKey = () => false) {
      if (pem.length > maxCsrBytes) throw new CsrError('too_large')
      const digest = hash('sha256', pem, 'base64')
      const earlier = verdicts.get(digest)
      if (earlier) verdicts.delete(digest)
      const verdict = remember(digest, earlier ?? readCsr(pem))
      if (refuseKey(verdict.publicKeySha256)) throw new CsrError('refused_key')
      return verdict
    },
  }
}
