/** `purser attestor create`: a source of proofs from flags, or from a file. */
import { type Command, Option } from 'commander'
import { type Api, type ServerFlags, withApi } from './api.ts'
import { type Definition, readDefinition } from './documents.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { seconds, withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'
import { readText } from './settings.ts'

type Flags = ServerFlags &
  OutputFlags & {
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
    managedBy?: string
    file?: string
    reason?: string
  }

const presets = ['github-actions', 'gitlab-ci', 'google', 'aws']

export function addAttestorCreate(group: Command, io: Io): void {
  const command = group
    .command('create')
    .summary('configure a source of proofs')
    .argument('<name>')
    .addOption(new Option('--kind <kind>', 'what it is').choices(['kubernetes', 'oidc']))
    .addOption(new Option('--preset <name>', 'an issuer whose claims are known; implies --kind oidc').choices(presets))
    .option('--issuer <url>', "the issuer of its tokens (Kubernetes: the cluster's --service-account-issuer)")
    .option('--audience <name>', 'what its tokens are addressed to; left out, what the server names first')
    .option('--prefix </path/>', 'the SPIFFE IDs that it may vouch for; left out, /<name>/')
    .option('--jwks-url <url>', "where the issuer's keys are, instead of discovery")
    .option('--jwks-file <file>', 'or the keys themselves, for places without a network')
    .option('--in-cluster', 'the cluster that Purser itself runs in')
    .option('--api-server <url>', "or where another cluster's API server is")
    .option('--api-ca <file>', 'its roots, PEM')
    .option('--api-token-file <path>', "on Purser's host: the token that it reviews tokens with")
    .addOption(new Option('--verify <how>', 'Kubernetes').choices(['jwks-then-tokenreview', 'tokenreview', 'jwks']))
    .option('--max-token-age <time>', 'refuse older tokens: 3600, 60m, 1h', seconds)
    .option('--single-use', 'take each token once')
    .option('--managed-by <hand>', 'who keeps it, such as git:shop')
    .option('-f, --file <file>', 'the whole definition, YAML or JSON; - is stdin')
    .action(async (name: string, flags: Flags) => {
      const { body, logIndex } = await withApi(io, flags, async (api) => {
        const definition = flags.file
          ? await readDefinition(io, flags.file, name)
          : await fromFlags(api, name, flags, io)
        return api.call('POST', '/api/v1/attestors', { definition, reason: flags.reason })
      })
      show(io, flags, body, ({ spiffeIdPrefix, revision }) =>
        table([
          [`attestor ${name} created`, `vouches under ${spiffeIdPrefix}`, `revision ${revision}`, `log ${logIndex}`],
        ]),
      )
    })
  withExamples(
    withReason(withOutput(withServer(command))),
    'purser attestor create github --preset github-actions',
    'purser attestor create here --kind kubernetes --in-cluster',
    'purser attestor create lab --kind oidc --issuer https://issuer.lab.example --jwks-file jwks.json',
  )
}

async function fromFlags(api: Api, name: string, flags: Flags, io: Io): Promise<Definition> {
  const kind = flags.kind ?? (flags.preset === undefined ? undefined : 'oidc')
  if (kind === undefined) throw new CliError('say what it is with --kind, --preset or --file', exitCodes.usage)
  const { preset, issuer, prefix, verify, maxTokenAge, singleUse, managedBy } = flags
  return {
    name,
    kind,
    audience: flags.audience ?? (await firstAudience(api)),
    ...(preset !== undefined && { preset }),
    ...(issuer !== undefined && { issuer }),
    ...(prefix !== undefined && { spiffeIdPrefix: prefix }),
    ...keysOf(flags, io),
    ...apiServerOf(flags, io),
    ...(verify !== undefined && { verify }),
    ...(maxTokenAge !== undefined && { maxTokenAgeSeconds: maxTokenAge }),
    ...(singleUse && { singleUse }),
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
    throw new CliError(`--jwks-file: ${jwksFile} is not JSON`, exitCodes.usage)
  }
}

function apiServerOf({ inCluster, apiServer, apiCa, apiTokenFile }: Flags, io: Io): Definition {
  if (inCluster) return { apiServer: 'in-cluster' }
  if (apiServer === undefined) return {}
  if (apiCa === undefined || apiTokenFile === undefined) {
    throw new CliError('--api-server goes with --api-ca and --api-token-file', exitCodes.usage)
  }
  return { apiServer: { url: apiServer, caPem: readText(io, apiCa, '--api-ca'), tokenFile: apiTokenFile } }
}
