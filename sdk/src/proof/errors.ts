/** Errors of the sources of proofs. */
import { PurserError } from '../errors.ts'

export const noProof = (words: string, cause?: unknown): PurserError =>
  new PurserError('no_proof', words, cause === undefined ? {} : { cause })

/** Names only the host of the URL, whose query may be private. */
export const failed = ({ who, url }: { who: string; url: URL }, words: string, cause?: unknown): PurserError =>
  noProof(`${who} (${url.host}) ${words}`, cause)
