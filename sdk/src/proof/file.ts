/** Tokens in files: read at each use, since the kubelet replaces a token well before its end. */
import { createReadStream, statSync } from 'node:fs'
import { maxLength } from './admit.ts'
import { type Detect, variable } from './machine.ts'
import { noProof } from './errors.ts'

/** @throws PurserError `no_proof`, without the content of the file */
export async function readToken(path: string, chosen: string): Promise<string> {
  try {
    const chunks: Buffer[] = []
    for await (const chunk of createReadStream(path, { end: maxLength + 2 })) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    throw noProof(`${chosen} ${whyNot(error)}`, error)
  }
}

function whyNot(error: unknown): string {
  const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
  return code === 'ENOENT' || code === 'ENOTDIR' ? 'does not exist' : `can't be read (${code})`
}

export const namedFile: Detect = (machine) => {
  const path = variable(machine, 'PURSER_PROOF_FILE')
  if (path === undefined) return { dismissed: 'PURSER_PROOF_FILE is not set' }
  const chosen = `the file ${path} (PURSER_PROOF_FILE)`
  return { chosen, read: () => readToken(path, chosen), isLocal: true }
}

/** One that is there and can't be read is chosen: reading says why, and nothing else stands in for it silently. */
export const projectedToken: Detect = ({ tokenFile }) => {
  const chosen = `the file ${tokenFile} (where a projected token is mounted)`
  try {
    statSync(tokenFile)
  } catch (error) {
    const why = whyNot(error)
    if (why === 'does not exist') return { dismissed: `${tokenFile} ${why}` }
  }
  return { chosen, read: () => readToken(tokenFile, chosen), isLocal: true }
}
