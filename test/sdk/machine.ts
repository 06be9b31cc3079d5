/** The environment of a test for the search of a proof, isolated from the real machine. */
import { createGet } from '../../sdk/src/proof/get.ts'
import type { Machine } from '../../sdk/src/proof/machine.ts'
import { type ProofSource, chooseProof } from '../../sdk/src/proof/choose.ts'
import { makeIdentities } from '../outbound/tls-server.ts'

export const identities = makeIdentities()
export const purserAudience = 'https://purser.example.org'

/** The certificates of the stand-ins have a root that only the test trusts. */
const bare = {
  tokenFile: '/nowhere/purser/token',
  dmi: () => '',
  get: createGet({ ca: identities.ca }),
}

export const choose = (env: Machine['env'] = {}, parts: Partial<Omit<Machine, 'env'>> = {}): ProofSource =>
  chooseProof(undefined, env, { ...bare, ...parts })

export const read = (source: ProofSource, signal = new AbortController().signal): Promise<string> =>
  source.read({ audiences: [purserAudience, 'second'], signal })

/** Answers a compact JWS: no source parses a token. */
export const someToken = `e30.${Buffer.from(JSON.stringify({ aud: purserAudience })).toString('base64url')}.c2ln`
