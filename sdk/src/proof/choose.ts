/** Chooses the source of the orchestrator's token, or explains why there is none. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PurserError } from '../errors.ts'
import { claimsOf } from '../json/parse.ts'
import type { ProofOption, ProofRequest } from '../types/options.ts'
import { aws } from './aws.ts'
import { createGet } from './get.ts'
import { githubActions } from './github.ts'
import { google } from './google.ts'
import { fromOption, gitlabCi, joinToken, namedFile, projectedToken, workloadApi } from './local.ts'
import { type Detect, type Machine, type Read, audiencePlaceholder } from './machine.ts'
import type { Choice } from '../types/purser.ts'
import { noProof } from './errors.ts'

export type ProofSource = Choice & {
  read: (request: ProofRequest) => Promise<string>
  /** The token's subject, unverified and hashed; undefined if only a network request could reveal it. */
  subject: () => Promise<string | undefined>
}

/** After the option: explicit sources first, then those of one workload, then those of the whole machine. */
const order: readonly Detect[] = [
  namedFile,
  joinToken,
  projectedToken,
  githubActions,
  gitlabCi,
  aws,
  google,
  workloadApi,
]

const localMachine: Omit<Machine, 'env'> = {
  // Never the service account's default token, whose audience is the cluster's API server.
  tokenFile: '/var/run/secrets/purser/token',
  dmi(name) {
    try {
      return readFileSync(`/sys/class/dmi/id/${name}`, 'utf8').trim()
    } catch {
      return ''
    }
  },
  get: createGet(),
  now: () => new Date(),
}

/**
 * The first available source, by the order in the README. Only reading it may use a network.
 * @throws PurserError `bad_options`
 */
export function chooseProof(
  option: ProofOption | undefined,
  env: Machine['env'],
  parts: Partial<Omit<Machine, 'env'>> = {},
): ProofSource {
  const machine = { ...localMachine, ...parts, env }
  const dismissed: string[] = []
  for (const detect of [fromOption(option), ...order]) {
    const source = detect(machine)
    if ('chosen' in source) {
      const { chosen, read, isLocal } = source
      const subject = (): Promise<string | undefined> => (isLocal ? subjectOf(read) : Promise.resolve(undefined))
      return { about: 'proof', chosen, dismissed, read: withDismissed(read, dismissed), subject }
    }
    dismissed.push(source.dismissed)
  }
  const read = withDismissed(noSource(machine), dismissed)
  const subject = (): Promise<undefined> => Promise.resolve(undefined)
  return { about: 'proof', chosen: 'none: no proof was found', dismissed, read, subject }
}

async function subjectOf(read: Read): Promise<string | undefined> {
  try {
    const token = await read({ audiences: [], signal: AbortSignal.timeout(10_000) })
    const { iss, sub } = claimsOf(token.trim()) ?? {}
    return typeof sub === 'string' ? hash('sha256', JSON.stringify([iss, sub])) : undefined
  } catch {
    // Presenting the proof will report the fault.
    return undefined
  }
}

const noSource =
  ({ tokenFile }: Machine): Read =>
  async () => {
    const kubernetes = `in Kubernetes, mount a projected serviceAccountToken with audience ${audiencePlaceholder} at ${tokenFile}`
    const elsewhere = 'elsewhere, set the option proof, PURSER_PROOF_FILE or PURSER_JOIN_TOKEN'
    throw noProof(`no proof of this workload's identity was found: ${kubernetes}; ${elsewhere}`)
  }

/** Adds the dismissed sources to a `no_proof` error: the right one may be among them. */
const withDismissed =
  (read: Read, dismissed: readonly string[]): Read =>
  async (request) => {
    try {
      return await read(request)
    } catch (error) {
      if (!(error instanceof PurserError) || error.code !== 'no_proof' || dismissed.length === 0) throw error
      const words = [`${error.message}. Passed over:`, ...dismissed.map((reason) => `- ${reason}`)].join('\n')
      throw noProof(words.replaceAll(audiencePlaceholder, request.audiences[0] ?? audiencePlaceholder), error)
    }
  }
