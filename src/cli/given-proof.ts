/** Finds a proof in files and variables, in the order of the SDK (sdk/README.md, "The proof"). */
import { existsSync } from 'node:fs'
import type { Io } from './io.ts'

export type GivenProof = {
  /** A path or the name of a variable. */
  place: string
  source: string
  /** @throws when its file cannot be read */
  read: () => string
}

type Environment = Pick<Io, 'env' | 'readFile'>

/** The mount path of a projected service account token. */
export const projectedToken = '/var/run/secrets/purser/token'

/** @param proofFile the value of `--proof-file` */
export function givenProof({ env, readFile }: Environment, proofFile?: string): GivenProof | undefined {
  const file = (place: string, source: string): GivenProof => ({ place, source, read: () => readFile(place).trim() })
  if (proofFile !== undefined) return file(proofFile, '--proof-file')
  if (env.PURSER_PROOF_FILE) return file(env.PURSER_PROOF_FILE, 'PURSER_PROOF_FILE')
  const token = env.PURSER_JOIN_TOKEN
  if (token) return { place: 'PURSER_JOIN_TOKEN', source: 'the environment', read: () => token.trim() }
  if (env.PURSER_JOIN_TOKEN_FILE) return file(env.PURSER_JOIN_TOKEN_FILE, 'PURSER_JOIN_TOKEN_FILE')
  return existsSync(projectedToken) ? file(projectedToken, 'where a projected token is mounted') : undefined
}

export const isJoinToken = (text: string): boolean => text.startsWith('purser_join_')

/** Whether the SDK would present a join token, which uses it up and binds it to a key. */
export function presentsJoinToken(environment: Environment, proofFile?: string): boolean {
  try {
    return isJoinToken(givenProof(environment, proofFile)?.read() ?? '')
  } catch {
    // The SDK reports a file that cannot be read.
    return false
  }
}
