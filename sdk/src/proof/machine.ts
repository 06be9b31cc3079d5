/** The interface of the sources of proofs: a fast detection, and a read that may use a network. */
import type { ProofRequest } from '../types/options.ts'
import type { Get } from './get.ts'
import { noProof } from './errors.ts'

/** What a source may inspect. Tests replace it. */
export type Machine = {
  env: Readonly<Record<string, string | undefined>>
  /** The path of a projected token. */
  tokenFile: string
  /** A value of the firmware's description, trimmed; empty if there is none. */
  dmi: (name: 'sys_vendor' | 'product_name') => string
  get: Get
  now: () => Date
}

export type Read = (request: ProofRequest) => Promise<string>

/**
 * A chosen or dismissed source, with a reason for operators that holds no secret.
 * @property isLocal a file or a variable, which is cheap to read
 */
type Detection = { chosen: string; read: Read; isLocal?: true } | { dismissed: string }

/** Reads variables and at most one small file. Slower work belongs into `read`. */
export type Detect = (machine: Machine) => Detection

/** Placeholder for the audience, in texts that are written before the server has named it. */
export const audiencePlaceholder = "<Purser's audience>"

/** The audience for sources whose tokens have only one. */
export function firstAudience({ audiences }: ProofRequest): string {
  const [first] = audiences
  if (first === undefined) throw noProof('the server names no audience: give the option audience or PURSER_AUDIENCE')
  return first
}

/** An empty variable counts as unset. */
export const variable = ({ env }: Pick<Machine, 'env'>, name: string): string | undefined => env[name] || undefined

/**
 * In a pod, the machine's metadata service may identify the node instead of the pod, which is not detectable from inside. So
 * it is used there only if the environment names it.
 */
export const inPod = (machine: Pick<Machine, 'env'>): boolean =>
  variable(machine, 'KUBERNETES_SERVICE_HOST') !== undefined
