/**
 * AWS outbound federation, `sts:GetWebIdentityToken`. Each account has its own issuer. The caller chooses
 * `request_tags`, so they are not facts.
 */
import { refuse } from '../../errors.ts'
import { isMembers } from '../../json/members.ts'
import { type Preset, fact, idOf, shortFacts, textOf } from './preset.ts'

const ownIssuer = /^https:\/\/[a-z0-9-]{8,64}\.tokens\.sts\.global\.api\.aws$/
const principalArn = /^arn:aws[a-z-]*:(?:iam|sts)::(\d{12}):/
const namespace = 'https://sts.amazonaws.com/'
const names = [
  'source_region', 'org_id', 'ou_path', 'principal_id', 'lambda_source_function_arn', 'ec2_source_instance_arn',
] // prettier-ignore

type Claims = Record<string, unknown>

function nested(claims: Claims, name: string): Claims {
  const value = Object.hasOwn(claims, name) ? claims[name] : undefined
  if (isMembers(value)) return value
  throw refuse('proof_claims', { explanation: { claim: name } })
}

export const aws: Preset = {
  prefix: 'aws:',
  refusesIssuer: (issuer) =>
    ownIssuer.test(issuer) ? undefined : 'an AWS account’s issuer is https://<id>.tokens.sts.global.api.aws',
  keys: { discovery: true },
  algorithms: ['RS256', 'ES384'],
  singleUse: false,
  requiredMatch: [{ exact: ['aws:account'], any: ['aws:principal'] }],
  read(claims) {
    const own = nested(claims, namespace)
    const account = idOf(own, 'aws_account')
    const principal = idOf(claims, 'sub')
    // The token names the account twice. If the names differ, neither is trustworthy.
    if (principalArn.exec(principal)?.[1] !== account)
      throw refuse('proof_claims', { explanation: { claim: 'aws_account' } })
    const tags = Object.hasOwn(own, 'principal_tags') ? nested(own, 'principal_tags') : {}
    const facts = [
      ...fact('aws:account', account),
      ...fact('aws:principal', principal),
      ...shortFacts('aws', own, names),
      ...Object.keys(tags).flatMap((name) => fact(`aws:principal-tag:${name}`, textOf(tags, name))),
    ]
    const machine = textOf(own, 'ec2_source_instance_arn')
    const token = [principal, textOf(claims, 'jti') ?? idOf(claims, 'iat')]
    return { facts, instance: machine === undefined ? ['aws-token', ...token] : ['aws-instance', principal, machine] }
  },
}
