/** Where operators log in, and the login at an OpenID provider: settings, and the rules between them. */
import { isIP } from 'node:net'
import { isDnsName } from '../names/dns-name.ts'
import type { PasskeySite } from '../operators/passkeys.ts'
import { roles } from '../operators/permissions.ts'
import type { RoleMapping } from '../operators/role-mappings.ts'
import { BadValue, type Fault } from './error.ts'
import { type Setting, seconds } from './setting.ts'
import { audience, httpsUrl, listOf } from './values.ts'

/** `admin:groups=purser-admins` */
function roleMapping(input: string): RoleMapping {
  const [, name = '', claim = '', value = ''] = /^([a-z]+):([^=\s]{1,64})=(.{1,255})$/.exec(input) ?? []
  const role = roles.find((candidate) => candidate === name)
  if (role) return { role, claim, value }
  throw new BadValue('must be role:claim=value, such as operator:groups=purser-operators')
}

function pem(input: string): string {
  if (input.includes('-----BEGIN CERTIFICATE-----')) return input
  throw new BadValue('must be certificates in PEM')
}

/** An origin: a passkey is bound to it, and to its host name. Only on localhost does a browser trust plain HTTP. */
function operatorsUrl(input: string): string {
  const url = URL.canParse(input) ? new URL(input) : undefined
  const isTrusted = url?.protocol === 'https:' || (url?.protocol === 'http:' && url.hostname === 'localhost')
  if (!url || !isTrusted) throw new BadValue('must be an https URL; http is accepted for localhost alone')
  if (url.origin !== input) throw new BadValue(`is written ${url.origin}: the origin alone`)
  if (isIP(url.hostname.replace(/^\[|\]$/g, '')) !== 0)
    throw new BadValue('must have a host name: browsers bind no passkey to an IP address')
  return input
}

export const operatorLoginSettings = {
  operatorsUrl: {
    env: 'PURSER_OPERATORS_URL',
    yaml: 'operators.url',
    parse: operatorsUrl,
    type: 'https URL',
    absent: 'that of the public URL; with `PURSER_ADMIN_LISTEN`, passkeys are off',
    doc: 'The URL at which the browsers of operators reach this server. Passkeys are bound to its host name and to its port: with another host name, operators enrol new ones. See [operators.md](operators.md#passkeys).',
  },
  sessionIdleSeconds: seconds(
    'PURSER_SESSION_IDLE_SECONDS',
    'operators.sessions.idleSeconds',
    { from: 60, to: 43_200, default: 1800 },
    'After this time without a request, the login session of a browser ends, exact to two minutes. Sessions of the command line last until their end.',
  ),
  operatorLoginIssuer: {
    env: 'PURSER_OPERATOR_LOGIN_ISSUER',
    yaml: 'operators.oidc.issuer',
    parse: httpsUrl,
    type: 'https URL',
    absent: 'no such login',
    doc: 'The OpenID provider at which operators log in, as its tokens name it. See [operators.md](operators.md#log-in-at-an-openid-provider).',
  },
  operatorLoginClientId: {
    env: 'PURSER_OPERATOR_LOGIN_CLIENT_ID',
    yaml: 'operators.oidc.clientId',
    parse: audience,
    type: 'client id',
    absent: 'required with the issuer',
    doc: 'The public client at this provider, which is the audience of its ID tokens. Use it for nothing else.',
  },
  operatorLoginScopes: {
    env: 'PURSER_OPERATOR_LOGIN_SCOPES',
    yaml: 'operators.oidc.scopes',
    parse: listOf(audience),
    type: 'list',
    list: true,
    default: 'openid,profile',
    doc: 'The scopes that the command requests. `openid` must be among them.',
  },
  operatorLoginName: {
    env: 'PURSER_OPERATOR_LOGIN_NAME_CLAIM',
    yaml: 'operators.oidc.nameClaim',
    parse: audience,
    type: 'claim',
    default: 'preferred_username',
    doc: 'The claim with the name of the operator. An operator of this name must exist.',
  },
  operatorLoginRoles: {
    env: 'PURSER_OPERATOR_LOGIN_ROLES',
    yaml: 'operators.oidc.roles',
    parse: listOf(roleMapping),
    type: 'list of role:claim=value',
    list: true,
    absent: 'required with the issuer',
    doc: 'Which claims give which role: the first that matches counts. The role of the operator bounds it.',
  },
  operatorLoginCa: {
    env: 'PURSER_OPERATOR_LOGIN_CA_PEM',
    yaml: 'operators.oidc.caPem',
    parse: pem,
    type: 'PEM',
    absent: 'the roots of Node.js',
    doc: 'The roots of this provider.',
  },
} satisfies Record<string, Setting<unknown>>

type Values = {
  operatorLoginIssuer: string | undefined
  operatorLoginClientId: string | undefined
  operatorLoginScopes: string[]
  operatorLoginName: string
  operatorLoginRoles: RoleMapping[] | undefined
  operatorLoginCa: string | undefined
}

/** Absent where no host name is known: passkeys are off. */
export function passkeySite(
  { operatorsUrl, adminListen }: { operatorsUrl: string | undefined; adminListen: unknown },
  publicUrl: string,
): PasskeySite | undefined {
  const url = operatorsUrl ?? (adminListen ? '' : publicUrl)
  if (url === '') return undefined
  const { origin, hostname } = new URL(url)
  return isDnsName(hostname) && isIP(hostname) === 0 ? { origin, rpId: hostname } : undefined
}

export type OperatorLogin = {
  issuer: string
  clientId: string
  scopes: string[]
  nameClaim: string
  mappings: RoleMapping[]
  caPem?: string
}

export function operatorLogin(values: Values, faults: Fault[]): OperatorLogin | undefined {
  const { operatorLoginIssuer: issuer, operatorLoginClientId: clientId, operatorLoginRoles: mappings = [] } = values
  const { operatorLoginScopes: scopes, operatorLoginName: nameClaim, operatorLoginCa: caPem } = values
  const fault = (name: string, problem: string): void => void faults.push({ name, problem })
  if (issuer === undefined) {
    if (clientId !== undefined || mappings.length > 0)
      fault('PURSER_OPERATOR_LOGIN_ISSUER', 'is missing: the other settings of this login have no effect without it')
    return undefined
  }
  if (clientId === undefined) fault('PURSER_OPERATOR_LOGIN_CLIENT_ID', 'is required with PURSER_OPERATOR_LOGIN_ISSUER')
  if (mappings.length === 0)
    fault('PURSER_OPERATOR_LOGIN_ROLES', 'is required with PURSER_OPERATOR_LOGIN_ISSUER: without it, no login succeeds')
  if (!scopes.includes('openid'))
    fault('PURSER_OPERATOR_LOGIN_SCOPES', 'must contain openid, without which a provider sends no ID token')
  return { issuer, clientId: clientId ?? '', scopes, nameClaim, mappings, ...(caPem !== undefined && { caPem }) }
}
