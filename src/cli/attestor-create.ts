/** `purser attestor create`: an attestor from flags or from a file. */
import { type Command, Option } from 'commander'
import type { Api } from './api.ts'
import { type Definition, readDefinition } from './documents.ts'
import { CliError, type Io, usageError } from './io.ts'
import { list, seconds } from './options.ts'
import { readText } from './settings.ts'
import { type VerbFlags, addChange } from './verb.ts'

type Flags = VerbFlags & {
  kind?: string
  preset?: string
  issuer?: string
  audience?: string
  prefix?: string
  jwksUrl?: string
  jwksFile?: string
  inCluster?: boolean
  apiServer?: string
  apiCa?: string
  apiTokenFile?: string
  verify?: string
  maxTokenAge?: number
  singleUse?: boolean
  login?: string[]
  issuerCa?: string
  managedBy?: string
  file?: string
}

const presets = ['github-actions', 'gitlab-ci', 'google', 'aws']

export function addAttestorCreate(group: Command, io: Io): void {
  addChange(group, io, {
    usage: 'create <name>',
    summary: 'create an attestor',
    options: (command) =>
      command
        .addOption(new Option('--kind <kind>', 'kind of attestor').choices(['kubernetes', 'oidc']))
        .addOption(new Option('--preset <name>', 'a known issuer; implies --kind oidc').choices(presets))
        .option('--issuer <url>', "issuer of the tokens (Kubernetes: the cluster's --service-account-issuer)")
        .option('--audience <name>', 'audience of the tokens (default: the first audience of the server)')
        .option('--prefix </path/>', 'path prefix of the SPIFFE IDs that it may attest (default: /<name>/)')
        .option('--issuer-ca <file>', 'roots of the issuer, PEM (default: the roots of Node.js)')
        .option('--jwks-url <url>', "URL of the issuer's keys, in place of discovery")
        .option('--jwks-file <file>', "file with the issuer's keys, in place of a URL")
        .option('--in-cluster', 'the cluster that Purser runs in')
        .option('--api-server <url>', 'API server of another cluster; needs --api-ca and --api-token-file')
        .option('--api-ca <file>', 'roots of that API server, PEM')
        .option('--api-token-file <path>', "path on Purser's host: the token for its token reviews")
        .addOption(
          new Option('--verify <how>', 'how Kubernetes tokens are verified').choices([
            'jwks-then-tokenreview',
            'tokenreview',
            'jwks',
          ]),
        )
        .option('--max-token-age <time>', 'refuse tokens older than this, such as 1h', seconds)
        .option('--single-use', 'accept each token once')
        .option(
          '--login <scopes>',
          'people log in at the issuer with these scopes, such as openid,groups; --audience is the client id',
          list,
        )
        .option('--managed-by <source>', 'source that manages it, such as git:shop')
        .option('-f, --file <file>', 'the whole definition, YAML or JSON; - for stdin'),
    examples: [
      'purser attestor create corp --kind oidc --issuer https://login.corp.example --audience purser-cli --login openid,groups',
      'purser attestor create github --preset github-actions',
      'purser attestor create here --kind kubernetes --in-cluster',
      'purser attestor create lab --kind oidc --issuer https://issuer.lab.example --jwks-file jwks.json',
    ],
    call: async (api, flags: Flags, name) => {
      const definition = await (flags.file ? readDefinition(io, flags.file, name) : fromFlags(api, name, flags, io))
      return api.call('POST', '/api/v1/attestors', { definition, reason: flags.reason })
    },
    row: ({ name, spiffeIdPrefix, revision }) => [
      `attestor ${name} created`,
      `attests ${spiffeIdPrefix}`,
      `revision ${revision}`,
    ],
  })
}

async function fromFlags(api: Api, name: string, flags: Flags, io: Io): Promise<Definition> {
  const kind = flags.kind ?? (flags.preset === undefined ? undefined : 'oidc')
  if (kind === undefined) throw usageError('the kind of attestor is missing: give --kind, --preset or --file')
  const { preset, issuer, prefix, verify, maxTokenAge, singleUse, login, issuerCa, managedBy } = flags
  return {
    name,
    kind,
    audience: flags.audience ?? (await firstAudience(api)),
    ...(preset !== undefined && { preset }),
    ...(issuer !== undefined && { issuer }),
    ...(prefix !== undefined && { spiffeIdPrefix: prefix }),
    ...(issuerCa !== undefined && { caPem: readText(io, issuerCa, '--issuer-ca') }),
    ...keysOf(flags, io),
    ...apiServerOf(flags, io),
    ...(verify !== undefined && { verify }),
    ...(maxTokenAge !== undefined && { maxTokenAgeSeconds: maxTokenAge }),
    ...(singleUse && { singleUse }),
    ...(login && { login: { scopes: login } }),
    ...(managedBy !== undefined && { managedBy }),
  }
}

async function firstAudience(api: Api): Promise<string> {
  const { body } = await api.call('GET', '/api/v1/server', { token: null })
  return body.audiences[0] ?? ''
}

function keysOf({ jwksUrl, jwksFile }: Flags, io: Io): Definition {
  if (jwksUrl !== undefined) return { keys: { jwksUrl } }
  if (jwksFile === undefined) return {}
  try {
    return { keys: { jwks: JSON.parse(readText(io, jwksFile, '--jwks-file')) as unknown } }
  } catch (error) {
    if (error instanceof CliError) throw error
    throw usageError(`--jwks-file: ${jwksFile} is not JSON`)
  }
}

function apiServerOf({ inCluster, apiServer, apiCa, apiTokenFile }: Flags, io: Io): Definition {
  if (inCluster) return { apiServer: 'in-cluster' }
  if (apiServer === undefined) return {}
  if (apiCa === undefined || apiTokenFile === undefined) {
    throw usageError('--api-server needs --api-ca and --api-token-file')
  }
  return { apiServer: { url: apiServer, caPem: readText(io, apiCa, '--api-ca'), tokenFile: apiTokenFile } }
}
