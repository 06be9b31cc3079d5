/** The role of an EC2 machine, from its metadata service, version 2: a PUT gives a token, which the reads then carry. */
import type { Answer } from './get.ts'
import { type Role, readCredentials } from './aws-role.ts'
import { type Machine, variable } from './machine.ts'
import { noProof, failed } from './errors.ts'

const who = "EC2's metadata service"
const tokenLife = { 'x-aws-ec2-metadata-token-ttl-seconds': '60' }
const roles = '/latest/meta-data/iam/security-credentials/'

export const instanceRole = (machine: Machine): Pick<Role, 'credentials'> & Required<Pick<Role, 'region'>> => ({
  async credentials(signal) {
    const get = await openSession(machine, signal)
    const list = await get(roles)
    if (list.status === 404) throw failed(list, 'knows no role: give this machine an instance profile')
    const [role = ''] = list.text.trim().split('\n')
    if (list.status !== 200 || !/^[\w+=,.@-]{1,128}$/.test(role)) throw failed(list, 'names no role')
    const answer = await get(roles + role)
    const credentials = answer.status === 200 ? readCredentials(answer.text) : undefined
    if (!credentials) throw failed(answer, `answered ${answer.status} without credentials of the role ${role}`)
    return credentials
  },
  async region(signal) {
    const get = await openSession(machine, signal)
    const answer = await get('/latest/meta-data/placement/region')
    if (answer.status !== 200) throw failed(answer, `answered ${answer.status} and no region: set AWS_REGION`)
    return answer.text.trim()
  },
})

type MetadataAnswer = Answer & { who: string; url: URL }

async function openSession(machine: Machine, signal: AbortSignal): Promise<(path: string) => Promise<MetadataAnswer>> {
  const base = baseOf(machine)
  const url = new URL('/latest/api/token', base)
  const { status, text } = await machine.get({ who, url, method: 'PUT', headers: tokenLife, signal })
  if (status !== 200 || !/^[\x21-\x7e]{1,1024}$/.test(text))
    throw failed({ who, url }, `answered ${status} and no token of its own (IMDSv2)`)
  return async (path) => {
    const place = new URL(path, base)
    const headers = { 'x-aws-ec2-metadata-token': text }
    return { ...(await machine.get({ who, url: place, headers, signal })), who, url: place }
  }
}

function baseOf(machine: Machine): string {
  const endpoint = variable(machine, 'AWS_EC2_METADATA_SERVICE_ENDPOINT')
  if (endpoint !== undefined && !URL.canParse(endpoint)) throw noProof('AWS_EC2_METADATA_SERVICE_ENDPOINT is no URL')
  const overIpv6 = variable(machine, 'AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE')?.toLowerCase() === 'ipv6'
  return endpoint ?? (overIpv6 ? 'http://[fd00:ec2::254]' : 'http://169.254.169.254')
}
