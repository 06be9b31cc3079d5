/** What every source of a proof has in common: a look that is over at once, and a read that may ask a network. */
import type { ProofRequest } from '../types/options.ts'
import type { Get } from './get.ts'
import { noProof } from './errors.ts'

/** What a source looks at. Everything of the machine comes in here, so that a test is a machine of its own. */
export type Machine = {
  env: Readonly<Record<string, string | undefined>>
  /** Where a projected token is mounted. */
  tokenFile: string
  /** A file of the firmware's description, trimmed; empty where there is none. */
  dmi: (name: 'sys_vendor' | 'product_name') => string
  get: Get
  now: () => Date
}

export type Read = (request: ProofRequest) => Promise<string>

/**
 * Chosen, or passed over: both in words for a person, and without a secret.
 * @property isHere a file or a variable, of which a look costs nothing
 */
type Found = { chosen: string; read: Read; isHere?: true } | { dismissed: string }

/** Reads variables and at most one small file; whatever can take longer belongs into `read`. */
export type Detect = (machine: Machine) => Found

/** Stands for the audience in words that are written before the server has said it. */
export const audiencePlaceholder = "<Purser's audience>"

/** Sources that make a token for one audience make it for the first: any of them would do. */
export function firstAudience({ audiences }: ProofRequest): string {
  const [first] = audiences
  if (first === undefined) throw noProof('the server names no audience: give the option audience or PURSER_AUDIENCE')
  return first
}

/** An empty variable counts as one that isn't there. */
export const variable = ({ env }: Pick<Machine, 'env'>, name: string): string | undefined => env[name] || undefined

/**
 * In a pod, a machine's metadata service speaks for the node, unless the cloud stands in for it pod by pod: nobody can
 * tell from inside. So there it is asked only where the environment names it.
 */
export const inPod = (machine: Pick<Machine, 'env'>): boolean =>
  variable(machine, 'KUBERNETES_SERVICE_HOST') !== undefined
