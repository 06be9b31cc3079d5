/** The orchestrator's token: the order in which it is looked for, and what is said where it isn't found. */
import { hash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { PurserError } from '../errors.ts'
import { claimsOf } from '../json/parse.ts'
import type { ProofOption, ProofRequest } from '../types/options.ts'
import { aws } from './aws.ts'
import { namedFile, projectedToken } from './file.ts'
import { createGet } from './get.ts'
import { githubActions } from './github.ts'
import { gitlabCi } from './gitlab.ts'
import { google } from './google.ts'
import { joinToken } from './join-token.ts'
import { fromOption } from './option.ts'
import { type Detect, type Machine, type Read, audiencePlaceholder } from './machine.ts'
import { workloadApi } from './workload-api.ts'
import type { Choice } from '../types/purser.ts'
import { noProof } from './errors.ts'

export type ProofSource = Choice & {
  read: (request: ProofRequest) => Promise<string>
  /** Who the token speaks of, unverified and hashed; undefined where that can't be told without asking a network. */
  subject: () => Promise<string | undefined>
}

/** After the option. What was given by hand comes first, then what is made for one workload, then what a machine has. */
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

const here: Omit<Machine, 'env'> = {
  // Never the service account's default token: that one is addressed to the cluster's API server.
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
 * The first source that is there, by the order in the README. Nothing is asked over a network before it is read.
 * @throws PurserError `bad_options`
 */
export function chooseProof(
  option: ProofOption | undefined,
  env: Machine['env'],
  parts: Partial<Omit<Machine, 'env'>> = {},
): ProofSource {
  const machine = { ...here, ...parts, env }
  const dismissed: string[] = []
  for (const look of [fromOption(option), ...order]) {
    const found = look(machine)
    if ('chosen' in found) {
      const { chosen, read, isHere } = found
      const subject = (): Promise<string | undefined> => (isHere ? subjectOf(read) : Promise.resolve(undefined))
      return { about: 'proof', chosen, dismissed, read: told(read, dismissed), subject }
    }
    dismissed.push(found.dismissed)
  }
  const read = told(nothing(machine), dismissed)
  const subject = (): Promise<undefined> => Promise.resolve(undefined)
  return { about: 'proof', chosen: 'nothing: no proof was found', dismissed, read, subject }
}

async function subjectOf(read: Read): Promise<string | undefined> {
  try {
    const token = await read({ audiences: [], signal: AbortSignal.timeout(10_000) })
    const { iss, sub } = claimsOf(token.trim()) ?? {}
    return typeof sub === 'string' ? hash('sha256', JSON.stringify([iss, sub])) : undefined
  } catch {
    // Presenting it will say why.
    return undefined
  }
}

const nothing =
  ({ tokenFile }: Machine): Read =>
  async () => {
    const kubernetes = `in Kubernetes, mount a projected serviceAccountToken with audience ${audiencePlaceholder} at ${tokenFile}`
    const elsewhere = 'elsewhere, give the option proof, PURSER_PROOF_FILE or PURSER_JOIN_TOKEN'
    throw noProof(`no proof of this workload's identity was found: ${kubernetes}; ${elsewhere}`)
  }

/** Where there is no proof, the error also says what was passed over before: the right one may be among them. */
const told =
  (read: Read, dismissed: readonly string[]): Read =>
  async (request) => {
    try {
      return await read(request)
    } catch (error) {
      if (!(error instanceof PurserError) || error.code !== 'no_proof' || dismissed.length === 0) throw error
      const words = [`${error.message}. Passed over:`, ...dismissed.map((one) => `- ${one}`)].join('\n')
      throw noProof(words.replaceAll(audiencePlaceholder, request.audiences[0] ?? audiencePlaceholder), error)
    }
  }
