/** The proof that somebody put here, in the SDK's order (sdk/README.md, "The proof"), as far as nobody has to be asked for it. */
import { existsSync } from 'node:fs'
import type { Io } from './io.ts'

export type GivenProof = {
  /** A path, or the name of a variable. */
  place: string
  source: string
  /** @throws what reading its file throws */
  read: () => string
}

type Here = Pick<Io, 'env' | 'readFile'>

/** Where a projected token is mounted (native-api.md, "Finding and trusting each other"). */
export const projectedToken = '/var/run/secrets/purser/token'

/** @param proofFile what `--proof-file` says */
export function givenProof({ env, readFile }: Here, proofFile?: string): GivenProof | undefined {
  const file = (place: string, source: string): GivenProof => ({ place, source, read: () => readFile(place).trim() })
  if (proofFile !== undefined) return file(proofFile, '--proof-file')
  if (env.PURSER_PROOF_FILE) return file(env.PURSER_PROOF_FILE, 'PURSER_PROOF_FILE')
  const token = env.PURSER_JOIN_TOKEN
  if (token) return { place: 'PURSER_JOIN_TOKEN', source: 'the environment', read: () => token.trim() }
  if (env.PURSER_JOIN_TOKEN_FILE) return file(env.PURSER_JOIN_TOKEN_FILE, 'PURSER_JOIN_TOKEN_FILE')
  return existsSync(projectedToken) ? file(projectedToken, 'where a projected token is mounted') : undefined
}

export const isJoinToken = (text: string): boolean => text.startsWith('purser_join_')

/** Whether the SDK would present a join token: a use of it is gone then, and it asks for a key to be bound to. */
export function presentsJoinToken(here: Here, proofFile?: string): boolean {
  try {
    return isJoinToken(givenProof(here, proofFile)?.read() ?? '')
  } catch {
    // A file that can't be read: the SDK says so.
    return false
  }
}
