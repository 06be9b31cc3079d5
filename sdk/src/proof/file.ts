/** Tokens in files: read at each use, since the kubelet replaces a token well before its end. */
import { createReadStream } from 'node:fs'
import { maxLength } from './admit.ts'
import { noProof } from './errors.ts'

/** @throws PurserError `no_proof`, without the content of the file */
export async function readToken(path: string, description: string): Promise<string> {
  try {
    const chunks: Buffer[] = []
    for await (const chunk of createReadStream(path, { end: maxLength + 2 })) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    throw noProof(`${description} ${whyNot(error)}`, error)
  }
}

/** Why a file can't be read, in words. */
export function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'does not exist' : `can't be read (${code})`
}
