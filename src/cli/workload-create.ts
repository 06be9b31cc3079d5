/** `purser workload create`: an entry from flags, from a file, or from a token of the workload. */
import { type Command, InvalidArgumentError } from 'commander'
import type { Api, ApiReply } from './api.ts'
import type { Schemas } from './api-types.ts'
import { type Definition, readDefinition } from './documents.ts'
import { attestorFor, matchFromProof } from './from-proof.ts'
import { type Io, usageError } from './io.ts'
import { type Facts, facts, list, seconds } from './options.ts'
import { type OutputFlags, pairs, remark, show, table } from './output.ts'
import { readText } from './settings.ts'
import { type VerbFlags, addVerb } from './verb.ts'

type Flags = VerbFlags & {
  attestor?: string
  match?: Facts
  spiffeId?: string
  x509: boolean
  dns?: string[]
  x509Lifetime?: number
  audience?: string[]
  jwtLifetime?: number
  secret?: SecretGrant[]
  database?: string[]
  session?: number
  wide?: boolean
  podBound: boolean
  pinIdentity?: boolean
  managedBy?: string
  fromProof?: string
  file?: string
}

export function addWorkloadCreate(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'create <name>',
    summary: 'register a workload',
    description:
      'Registers a workload: the facts that identify it, and its grants. Grants a certificate unless --no-x509 is set.',
    options: (command) =>
      command
        .option('--attestor <name>', 'attestor that verifies its proofs')
        .option(
          '--match <key=value>',
          'a fact (selector) that the attestor must have verified; a repeated key matches any of its values',
          facts,
        )
        .option(
          '--spiffe-id <id>',
          "its SPIFFE ID (default: the attestor's prefix, then <name>, or ns/…/sa/… in Kubernetes)",
        )
        .option('--no-x509', 'grant no certificate')
        .option('--dns <name>', 'DNS name for its certificates; may be repeated', list)
        .option('--x509-lifetime <time>', 'maximum lifetime of a certificate, such as 1h', seconds)
        .option('--audience <name>', 'audience for its JWTs; may be repeated', list)
        .option('--jwt-lifetime <time>', 'maximum lifetime of a JWT', seconds)
        .option(
          '--secret <paths>',
          'secrets that it reads and watches, such as prod/web/**; with actions: prod/web/**=read,list,watch; may be repeated',
          secretGrant,
        )
        .option('--database <name>', 'database in which it gets a role; may be repeated', list)
        .option('--session <time>', 'maximum lifetime of a session', seconds)
        .option('--wide', 'allow * as a value of --match, and every branch of a repository')
        .option('--no-pod-bound', 'also accept Kubernetes tokens that name no pod')
        .option('--pin-identity', 'refuse a recreated account of the same name')
        .option('--managed-by <source>', 'source that manages the entry, such as git:shop')
        .option('--from-proof <token-file>', "match the immutable ids in a workload's token; the token is not sent")
        .option('-f, --file <file>', 'the whole entry, YAML or JSON; - for stdin'),
    reason: true,
    examples: [
      'purser workload create web --attestor prod-eu --match k8s:ns=prod --match k8s:sa=web --dns web.prod.svc',
      'purser workload create build --from-proof token.jwt --audience artifacts --jwt-lifetime 15m',
      'purser workload create web --attestor prod-eu --match k8s:ns=prod --secret "prod/web/**" --database orders',
      'purser workload create web --file web.yaml',
    ],
    run: async (api, flags: Flags, name) => {
      const definition = await (flags.file === undefined ? fromFlags(api, name, flags, io) : fromFile(name, flags, io))
      const reply = await api.call('POST', '/api/v1/workloads', { definition, reason: flags.reason })
      showWritten(io, flags, reply, 'created')
    },
  })
}

/** Shows a written entry, and the warnings of the server. */
export function showWritten(
  io: Io,
  flags: OutputFlags,
  { body: workload, logIndex }: ApiReply<Schemas['Workload']>,
  outcome: string,
): void {
  for (const { code, detail, workload: other } of workload.warnings ?? []) {
    remark(io, `warning: ${code}${other === undefined ? '' : ` (${other})`}: ${detail}`)
  }
  show(io, flags, workload, ({ name, spiffeId, revision }) =>
    table([[`workload ${name} ${outcome}`, spiffeId, `revision ${revision}`, `log ${logIndex}`]]),
  )
}

async function fromFile(name: string, flags: Flags, io: Io): Promise<Definition> {
  if (flags.attestor ?? flags.match ?? flags.spiffeId ?? flags.fromProof) {
    throw usageError('--file holds the whole entry: leave the other options out')
  }
  return readDefinition(io, flags.file ?? '', name)
}

async function fromFlags(api: Api, name: string, flags: Flags, io: Io): Promise<Definition> {
  const token = flags.fromProof === undefined ? undefined : readText(io, flags.fromProof, '--from-proof')
  const attestor = await attestorFor(api, flags.attestor, token)
  const match = { ...(token !== undefined && matchFromProof(token, attestor)), ...flags.match }
  if (token !== undefined) remark(io, `read from the proof, not verified: ${pairs(match)}`)
  if (Object.keys(match).length === 0 && attestor.kind !== 'join-token') {
    throw usageError('nothing to match: give --match key=value or --from-proof')
  }
  const { dns, x509Lifetime, audience, jwtLifetime, secret, database, session, managedBy } = flags
  return {
    name,
    attestor: attestor.name,
    ...(attestor.kind !== 'join-token' && { match }),
    spiffeId: flags.spiffeId ?? (await defaultId(api, name, attestor, match)),
    grants: {
      ...(flags.x509 && {
        x509: { ...(dns && { dnsNames: dns }), ...(x509Lifetime && { maxLifetimeSeconds: x509Lifetime }) },
      }),
      ...(audience && {
        jwt: { audiences: audience, ...(jwtLifetime && { maxLifetimeSeconds: jwtLifetime }) },
      }),
      ...(secret && { secrets: secret }),
      ...(database && { databases: database }),
    },
    ...(session !== undefined && { maxSessionSeconds: session }),
    ...(flags.wide && { wide: true }),
    ...(!flags.podBound && { requirePodBound: false }),
    ...(flags.pinIdentity && { pinIdentity: true }),
    ...(managedBy !== undefined && { managedBy }),
  }
}

type SecretGrant = { paths: string[]; actions: string[] }

/** `prod/web/**`, or with actions `prod/web/**=read,list`. Paths with the same actions are one grant. */
function secretGrant(value: string, before: SecretGrant[] = []): SecretGrant[] {
  const [path = '', actions = 'read,watch'] = value.split('=', 2)
  if (path === '' || actions === '')
    throw new InvalidArgumentError('It must be a path, such as prod/web/** or prod/db=read.')
  const same = before.find((grant) => grant.actions.join(',') === actions)
  if (!same) return [...before, { paths: [path], actions: actions.split(',') }]
  return before.map((grant) => (grant === same ? { ...grant, paths: [...grant.paths, path] } : grant))
}

/** The conventional ID: below the attestor's prefix, in a cluster by namespace and account. */
async function defaultId(api: Api, name: string, attestor: Schemas['Attestor'], match: Facts): Promise<string> {
  const { trustDomain } = (await api.call('GET', '/api/v1/server', { token: null })).body
  const { 'k8s:ns': ns, 'k8s:sa': sa } = match
  const inCluster = typeof ns === 'string' && typeof sa === 'string'
  const place = inCluster ? `ns/${ns}/sa/${sa === '*' ? '{k8s:sa}' : sa}` : name
  return `spiffe://${trustDomain}${attestor.spiffeIdPrefix}${place}`
}
