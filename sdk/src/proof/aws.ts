/**
 * AWS: a token for any audience by `sts:GetWebIdentityToken`, with the role of this process. Only regional endpoints of STS
 * offer it.
 */
import { findRole } from './aws-credentials.ts'
import type { Role } from './aws-role.ts'
import type { Answer } from './get.ts'
import { sign } from './sigv4.ts'
import { type Detect, type Machine, firstAudience, variable } from './machine.ts'
import { noProof, failed } from './errors.ts'

const who = 'AWS STS'

export const aws: Detect = (machine) => {
  const role = findRole(machine)
  if ('dismissed' in role) return role
  return {
    chosen: `a token of this AWS role by sts:GetWebIdentityToken (${role.words})`,
    async read(request) {
      const region = await regionOf(machine, role, request.signal)
      const credentials = await role.credentials(request.signal)
      const url = endpointOf(machine, region)
      // STS's default of five minutes: a longer lifetime is refused if it would outlive the role's session.
      const parameters = { Action: 'GetWebIdentityToken', Version: '2011-06-15', SigningAlgorithm: 'RS256' }
      const body = String(new URLSearchParams({ ...parameters, 'Audience.member.1': firstAudience(request) }))
      const type = { host: url.host, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
      const scope = { region, service: 'sts', now: machine.now() }
      const headers = sign({ method: 'POST', query: '', headers: type, body }, credentials, scope)
      return tokenIn(await machine.get({ who, url, method: 'POST', headers, body, signal: request.signal }), url)
    },
  }
}

async function regionOf(machine: Machine, role: Role, signal: AbortSignal): Promise<string> {
  const region =
    variable(machine, 'AWS_REGION') ?? variable(machine, 'AWS_DEFAULT_REGION') ?? (await role.region?.(signal))
  if (region === undefined) throw noProof('the region of AWS STS is unknown: set AWS_REGION')
  // It becomes part of a host name.
  if (!/^[a-z]{2,4}(?:-[a-z]+){1,3}-\d{1,2}$/.test(region))
    throw noProof("AWS_REGION, or what EC2 says, is no region's name")
  return region
}

/** AWS_ENDPOINT_URL_STS names another endpoint: in a private network, or of a partition with a domain of its own. */
function endpointOf(machine: Machine, region: string): URL {
  const endpoint = variable(machine, 'AWS_ENDPOINT_URL_STS')
  if (endpoint === undefined) return new URL(`https://sts.${region}.amazonaws.com/`)
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined
  if (url?.protocol !== 'https:' || url.pathname !== '/' || url.search !== '')
    throw noProof('AWS_ENDPOINT_URL_STS is no https URL without a path')
  return url
}

const document =
  /^\s*(?:<\?xml[^<>]*\?>\s*)?<GetWebIdentityTokenResponse xmlns="https:\/\/sts\.amazonaws\.com\/doc\/2011-06-15\/">\s*<GetWebIdentityTokenResult>((?:\s*<(\w+)>[^<>&]*<\/\2>)*)\s*<\/GetWebIdentityTokenResult>\s*<ResponseMetadata>\s*<RequestId>[\w-]+<\/RequestId>\s*<\/ResponseMetadata>\s*<\/GetWebIdentityTokenResponse>\s*$/

/** Accepts only the exact form that STS writes, without comments or entities. */
function tokenIn({ status, text }: Answer, url: URL): string {
  if (status !== 200) throw refused(status, text, url)
  const result = document.exec(text)?.[1] ?? ''
  const [token, ...more] = [...result.matchAll(/<WebIdentityToken>([\w.-]+)<\/WebIdentityToken>/g)].map(
    ([, text = '']) => text,
  )
  if (token === undefined || more.length > 0) throw failed({ who, url }, 'answered without a token')
  return token
}

const advice: Record<string, string> = {
  AccessDenied: 'allow the role sts:GetWebIdentityToken',
  OutboundWebIdentityFederationDisabled:
    'enable outbound web identity federation in the account (IAM, account settings)',
  RegionDisabledException: 'enable the region, or set AWS_REGION to another',
  ExpiredToken: 'the credentials are expired',
}

/** Shows only the code: the message may repeat the signed request, including the session's token. */
function refused(status: number, text: string, url: URL): Error {
  const code = /<Code>([A-Za-z.]{1,100})<\/Code>/.exec(text)?.[1]
  const adviceKey = code?.replace(/^(OutboundWebIdentityFederationDisabled)Exception$/, '$1') ?? ''
  const what = Object.hasOwn(advice, adviceKey) ? `: ${advice[adviceKey] ?? ''}` : ''
  return failed({ who, url }, `answered ${status}${code === undefined ? '' : ` ${code}`}${what}`)
}
