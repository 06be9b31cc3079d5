/** `purser keys`: lists keys, rotates them ahead of schedule, and puts the issuing CA under an existing CA. */
import { type Command, Argument, Option } from 'commander'
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { minute, remark, show, table } from './output.ts'
import { readText } from './settings.ts'
import { type VerbFlags, addList, addVerb } from './verb.ts'

type Kind = 'ca' | 'jwt' | 'keyring' | 'log'

export function addKeys(program: Command, io: Io): void {
  const group = program.command('keys').summary('list keys, rotate them ahead of schedule, and use an upstream CA')
  addList(group, io, {
    summary: 'list keys that are published or still wrap values; never a private key',
    examples: ['purser keys list'],
    items: (api) => api.all('/api/v1/keys'),
    header: ['KIND', 'STATE', 'ALGORITHM', 'SIGNS FROM', 'UNTIL', 'REMOVED', 'WRAPS', 'ID'],
    row: (key) => [
      key.kind,
      key.state,
      key.algorithm ?? '-',
      minuteOf(key.activeAt),
      minuteOf(key.retireAt),
      minuteOf(key.goneAt),
      key.values === undefined ? '-' : String(key.values),
      key.id,
    ],
  })
  addRotate(group, io)
  addCsr(group, io)
  addImport(group, io)
}

/** A key without an end has the year 9999. */
const minuteOf = (time: string | undefined): string =>
  time === undefined || time.startsWith('9999') ? '-' : minute(time)

function addRotate(group: Command, io: Io): void {
  addVerb<VerbFlags & Schemas['RotateRequest'], Kind>(group, io, {
    usage: 'rotate',
    summary: 'create the next key now',
    description:
      'Publishes the next key, which signs once verifiers have had time to fetch it. With --compromised the current key is withdrawn at once, and what it signed is refused.',
    options: (command) =>
      command
        .addArgument(new Argument('<kind>', 'kind of key').choices(['ca', 'jwt', 'keyring', 'log']))
        .option('--compromised', 'the current key has leaked: withdraw it at once')
        .addOption(new Option('--level <level>', 'level of the CA').choices(['issuing', 'root'])),
    reason: true,
    examples: ['purser keys rotate jwt', 'purser keys rotate ca --level issuing --compromised --reason "incident 42"'],
    run: async (api, { compromised, level, reason, ...flags }, kind) => {
      const body = { ...(compromised && { compromised }), ...(level !== undefined && { level }) }
      const reply = await api.call('POST', '/api/v1/keys/{kind}:rotate', { path: { kind }, body, reason })
      show(io, flags, reply.body, ({ created, replaced }) =>
        table([
          ...created.map((key) => ['created', key.kind, key.state, `signs from ${minuteOf(key.activeAt)}`, key.id]),
          ...replaced.map((key) => ['replaced', key.kind, key.state, `removed by ${minuteOf(key.goneAt)}`, key.id]),
        ]),
      )
    },
  })
}

function addCsr(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'csr',
    summary: 'create an issuing key and print its certificate request for an upstream CA',
    reason: true,
    examples: ['purser keys csr > purser.csr'],
    run: async (api, { reason, ...flags }) => {
      const { body } = await api.call('POST', '/api/v1/keys/ca:csr', { reason })
      show(io, flags, body, ({ csr }) => csr)
      remark(io, `${body.keyId} signs nothing yet: let your CA sign the request, then run \`purser keys import\``)
    },
  })
}

function addImport(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'import',
    summary: 'import the certificate that an upstream CA signed',
    options: (command) =>
      command
        .requiredOption('--chain <file>', 'the issuing certificate, then its chain up to the root, PEM')
        .requiredOption('--root <file>', 'the self-signed root of the chain, PEM'),
    reason: true,
    examples: ['purser keys import --chain purser-chain.pem --root company-root.pem'],
    run: async (api, { chain, root, reason, ...flags }: VerbFlags & { chain: string; root: string }) => {
      const body = {
        certificateChain: readText(io, chain, '--chain'),
        trustBundle: readText(io, root, '--root'),
      }
      const reply = await api.call('POST', '/api/v1/keys/ca:import', { body, reason })
      show(io, flags, reply.body, ({ id, kind, state, activeAt = 'now' }) =>
        table([['imported', kind, state, `signs from ${activeAt}`, id]]),
      )
    },
  })
}
