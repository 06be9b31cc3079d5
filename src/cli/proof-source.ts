/** Finds the proof of this workload in files and variables, in the order of the SDK (sdk/src/proof/choose.ts). */
import { existsSync } from 'node:fs'
import type { Io } from './io.ts'

export type ProofSource = {
  /** A path or the name of a variable. */
  place: string
  /** Where the place comes from. */
  origin: string
  /** @throws when its file cannot be read */
  read: () => string
}

type Environment = Pick<Io, 'env' | 'readFile'>
type ProofFlags = { proofFile?: string; login?: boolean }

/** The mount path of a projected service account token. */
export const projectedToken = '/var/run/secrets/purser/token'

/** @param proofFile the value of `--proof-file` */
export function findProof({ env, readFile }: Environment, proofFile?: string): ProofSource | undefined {
  const file = (place: string, origin: string): ProofSource => ({ place, origin, read: () => readFile(place).trim() })
  if (proofFile !== undefined) return file(proofFile, '--proof-file')
  if (env.PURSER_PROOF_FILE) return file(env.PURSER_PROOF_FILE, 'PURSER_PROOF_FILE')
  const token = env.PURSER_JOIN_TOKEN
  if (token) return { place: 'PURSER_JOIN_TOKEN', origin: 'the environment', read: () => token.trim() }
  if (env.PURSER_JOIN_TOKEN_FILE) return file(env.PURSER_JOIN_TOKEN_FILE, 'PURSER_JOIN_TOKEN_FILE')
  return existsSync(projectedToken) ? file(projectedToken, 'where a projected token is mounted') : undefined
}

export const isJoinToken = (text: string): boolean => text.startsWith('purser_join_')

/** Whether the SDK would present a join token, which uses it up and binds it to a key. */
export function presentsJoinToken(environment: Environment, { proofFile, login }: ProofFlags): boolean {
  if (login) return false
  try {
    return isJoinToken(findProof(environment, proofFile)?.read() ?? '')
  } catch {
    // The SDK reports a file that cannot be read.
    return false
  }
}
