/** Errors of the sources of proofs. */
import { PurserError } from '../errors.ts'

export const noProof = (words: string, cause?: unknown): PurserError =>
  new PurserError('no_proof', words, cause === undefined ? {} : { cause })

/** The host and no more of the URL: what it asks for may be private. */
export const failed = ({ who, url }: { who: string; url: URL }, words: string, cause?: unknown): PurserError =>
  noProof(`${who} (${url.host}) ${words}`, cause)
