/** The orchestrator's token: where it comes from, and whether it is meant for this server. */
import { createReadStream } from 'node:fs'
import type { Choice } from './choices.ts'
import { PurserError, wordsOf } from './errors.ts'
import { claimsOf } from './jwt-claims.ts'
import type { ProofOption, ProofRequest } from './options.ts'

const defaultProofFile = '/var/run/secrets/purser/token'

export type ProofSource = Choice & { read: (request: ProofRequest) => Promise<string> }
export type Proof = { kind: 'jwt' | 'join-token'; token: string }

/** The server takes no longer one. */
const longest = 16_384

const mount =
  'Give the option proof or PURSER_PROOF_FILE; in Kubernetes, mount a projected serviceAccountToken with audience of ' +
  `Purser at ${defaultProofFile}`

/** The order is: the option, PURSER_PROOF_FILE, the place of a projected token. */
export function chooseProof(
  option: ProofOption | undefined,
  env: Readonly<Record<string, string | undefined>>,
): ProofSource {
  const dismissed: string[] = []
  if (typeof option === 'string') {
    return { about: 'proof', chosen: 'the token in the option proof', dismissed, read: () => Promise.resolve(option) }
  }
  if (typeof option === 'function') {
    return { about: 'proof', chosen: 'the function in the option proof', dismissed, read: askFor(option) }
  }
  if (option !== undefined) {
    const chosen = `the file ${option.file} (option proof)`
    return { about: 'proof', chosen, dismissed, read: () => readFile(option.file, dismissed) }
  }
  dismissed.push('the option proof is not given')
  const named = env.PURSER_PROOF_FILE
  if (named !== undefined && named !== '') {
    const chosen = `the file ${named} (PURSER_PROOF_FILE)`
    return { about: 'proof', chosen, dismissed, read: () => readFile(named, dismissed) }
  }
  dismissed.push('PURSER_PROOF_FILE is not set')
  const chosen = `the file ${defaultProofFile} (where a projected token is mounted)`
  return { about: 'proof', chosen, dismissed, read: () => readFile(defaultProofFile, dismissed) }
}

const askFor =
  (proof: Extract<ProofOption, (...parts: never[]) => unknown>) =>
  async (request: ProofRequest): Promise<string> => {
    let token: unknown
    try {
      token = await proof(request)
    } catch (error) {
      throw new PurserError('no_proof', `the function in the option proof failed: ${wordsOf(error)}`, { cause: error })
    }
    if (typeof token !== 'string') throw new PurserError('no_proof', 'the function in the option proof gave no text')
    return token
  }

/** Read on every use: the kubelet replaces the file well before the token ends. */
async function readFile(path: string, dismissed: readonly string[]): Promise<string> {
  try {
    const chunks: Buffer[] = []
    for await (const chunk of createReadStream(path, { end: longest + 2 })) chunks.push(Buffer.from(chunk))
    return Buffer.concat(chunks).toString('utf8')
  } catch (error) {
    const code = error instanceof Error && 'code' in error ? String(error.code) : 'unknown'
    const why = code === 'ENOENT' ? 'does not exist' : `can't be read (${code})`
    const tried = [...dismissed, `${path} ${why}`].join('; ')
    throw new PurserError('no_proof', `no proof of this workload's identity was found: ${tried}. ${mount}`, {
      cause: error,
    })
  }
}

/**
 * What may be sent: a JWT that names one of the server's audiences, or a join token of Purser's own.
 * @throws PurserError `bad_proof`, `wrong_audience`; it was not sent then
 */
export function admitProof(read: string, audiences: readonly string[], source: string): Proof {
  const token = read.trim()
  if (token === '') throw new PurserError('bad_proof', `${source} is empty`)
  if (token.length > longest) throw new PurserError('bad_proof', `${source} holds more than ${longest} bytes: no token`)
  if (/^purser_join_[\w-]+$/.test(token)) return { kind: 'join-token', token }
  const claims = claimsOf(token)
  if (!claims) {
    throw new PurserError('bad_proof', `${source} holds no JWT and no join token, so it was not sent. ${mount}`)
  }
  const named = Array.isArray(claims.aud) ? claims.aud : [claims.aud]
  if (named.some((one) => typeof one === 'string' && audiences.includes(one))) return { kind: 'jwt', token }
  throw new PurserError(
    'wrong_audience',
    `${source} is addressed to ${shown(named)} and not to Purser (${audiences.join(', ')}), so it was not sent: ` +
      'whoever it is sent to could use it there. Request a token with the audience of Purser',
  )
}

const shown = (audiences: readonly unknown[]): string =>
  audiences.map((one) => (typeof one === 'string' ? one.slice(0, 100) : 'nobody')).join(', ')
