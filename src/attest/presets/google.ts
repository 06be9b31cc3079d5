/**
 * Google's instance identity and service accounts. All customers and all people with a Google account share this issuer:
 * only service accounts and machines are accepted, and entries must match ids.
 */
import { refuse } from '../../errors.ts'
import { isMembers } from '../../json/members.ts'
import { type Preset, fact, idOf, textOf } from './preset.ts'

const issuer = 'https://accounts.google.com'
/** `name@project.iam.gserviceaccount.com`, `123-compute@developer.gserviceaccount.com`: a domain of Google's. */
const serviceAccount = /^[^@\s]+@[a-z0-9-]+(?:\.[a-z0-9-]+)?\.gserviceaccount\.com$/

type Claims = Record<string, unknown>

const within = (claims: Claims, name: string): Claims => {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  return isMembers(value) ? value : {}
}

export const google: Preset = {
  prefix: 'gcp:',
  issuer,
  refusesIssuer: (text) => (text === issuer ? undefined : `Google's issuer is ${issuer}`),
  // The key set lies at another origin than the issuer.
  keys: { jwksUrl: 'https://www.googleapis.com/oauth2/v3/certs' },
  algorithms: ['RS256'],
  singleUse: false,
  requiredMatch: [{ exact: ['gcp:sub'] }, { exact: ['gcp:instance-id'] }, { exact: ['gcp:project-number'] }],
  read(claims) {
    const sub = idOf(claims, 'sub')
    const machine = within(within(claims, 'google'), 'compute_engine')
    const instanceId = textOf(machine, 'instance_id')
    const email = textOf(claims, 'email')
    // Not the string "true": code that tests for truth accepts the string "false" (CVE-2026-55076).
    const verified = claims.email_verified === true && email !== undefined && serviceAccount.test(email)
    if (instanceId === undefined && !verified)
      throw refuse('proof_rejected', { explanation: { detail: 'neither a machine nor a service account of Google' } })
    const facts = [
      ...fact('gcp:sub', sub),
      ...(verified ? fact('gcp:email', email) : []),
      ...['project_id', 'project_number', 'zone', 'instance_id', 'instance_name'].flatMap((name) =>
        fact(`gcp:${name.replaceAll('_', '-')}`, textOf(machine, name)),
      ),
    ]
    // Google's tokens have no id of their own; one that names no machine stands for itself.
    const itself = ['gcp-token', sub, textOf(claims, 'jti') ?? idOf(claims, 'iat')]
    const instance = instanceId === undefined ? itself : ['gcp-instance', idOf(machine, 'project_number'), instanceId]
    return { facts, instance }
  },
}
