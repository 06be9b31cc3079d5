/**
 * The credentials of this process's role, in the order of AWS's own SDKs: environment, container endpoint (ECS, EKS Pod
 * Identity), instance metadata. They only sign one request to STS.
 */

import { readToken } from './file.ts'
import { instanceRole } from './aws-instance.ts'
import { type Role, readCredentials } from './aws-role.ts'
import type { Credentials } from './sigv4.ts'
import { type Machine, inPod, variable } from './machine.ts'
import { noProof, failed } from './errors.ts'

export function findRole(machine: Machine): Role | { dismissed: string } {
  const env = (name: string): string | undefined => variable(machine, name)
  const [accessKeyId, secretAccessKey, sessionToken] = [
    env('AWS_ACCESS_KEY_ID'),
    env('AWS_SECRET_ACCESS_KEY'),
    env('AWS_SESSION_TOKEN'),
  ]
  if (accessKeyId !== undefined && secretAccessKey !== undefined) {
    const credentials = { accessKeyId, secretAccessKey, ...(sessionToken !== undefined && { sessionToken }) }
    return { words: 'AWS_ACCESS_KEY_ID', credentials: () => Promise.resolve(credentials) }
  }
  const relative = env('AWS_CONTAINER_CREDENTIALS_RELATIVE_URI')
  const full = env('AWS_CONTAINER_CREDENTIALS_FULL_URI')
  if (relative !== undefined || full !== undefined) {
    const name =
      relative === undefined ? 'AWS_CONTAINER_CREDENTIALS_FULL_URI' : 'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI'
    return { words: name, credentials: (signal) => fromContainer(machine, { name, relative, full }, signal) }
  }
  return machineRole(machine)
}

function machineRole(machine: Machine): Role | { dismissed: string } {
  const env = (name: string): string | undefined => variable(machine, name)
  if (env('AWS_LAMBDA_FUNCTION_NAME') !== undefined)
    return { dismissed: 'AWS_LAMBDA_FUNCTION_NAME is set, but AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY are not' }
  const variableName = ['AWS_EC2_METADATA_SERVICE_ENDPOINT', 'AWS_EXECUTION_ENV'].find(
    (name) => env(name) !== undefined,
  )
  const evidence = variableName ?? (machine.dmi('sys_vendor') === 'Amazon EC2' ? 'by its firmware' : undefined)
  if (evidence === undefined)
    return { dismissed: 'no evidence of AWS (no credentials in the environment, no container credentials, no EC2)' }
  if (env('AWS_EC2_METADATA_DISABLED')?.toLowerCase() === 'true')
    return { dismissed: "EC2's metadata service is disabled (AWS_EC2_METADATA_DISABLED)" }
  if (inPod(machine) && env('AWS_EC2_METADATA_SERVICE_ENDPOINT') === undefined)
    return { dismissed: "in a pod, EC2's metadata service identifies the node: mount a projected token" }
  return { words: `EC2's metadata service, ${evidence}`, ...instanceRole(machine) }
}

type Place = { name: string; relative: string | undefined; full: string | undefined }

async function fromContainer(
  machine: Machine,
  { name, relative, full }: Place,
  signal: AbortSignal,
): Promise<Credentials> {
  const who = "AWS's container credentials"
  // The path is appended to a fixed address, so it can't change the host.
  const text = relative === undefined ? full : `http://169.254.170.2${relative.startsWith('/') ? '' : '/'}${relative}`
  if (text === undefined || !URL.canParse(text)) throw noProof(`${name} is no URL`)
  const url = new URL(text)
  const file = variable(machine, 'AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE')
  const token =
    file === undefined
      ? variable(machine, 'AWS_CONTAINER_AUTHORIZATION_TOKEN')
      : (await readToken(file, `the file ${file} (AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE)`)).trim()
  const headers = { accept: 'application/json', ...(token !== undefined && { authorization: token }) }
  const answer = await machine.get({ who, url, headers, signal })
  if (answer.status !== 200) throw failed({ who, url }, `answered ${answer.status} and no credentials`)
  const credentials = readCredentials(answer.text)
  if (!credentials) throw failed({ who, url }, 'answered without credentials')
  return credentials
}
