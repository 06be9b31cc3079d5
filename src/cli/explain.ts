/** `purser explain`: why something is granted or refused, in words. It issues nothing. */
import type { Command } from 'commander'
import type { Schemas } from './api-types.ts'
import { isJoinToken } from './proof-source.ts'
import { type Io, usageError } from './io.ts'
import { type Facts, facts } from './options.ts'
import { pairs, printable, show, table } from './output.ts'
import { readText } from './settings.ts'
import { type VerbFlags, addVerb } from './verb.ts'

type Flags = VerbFlags & { proof?: string; attestor?: string; selector?: Facts; workload?: string }

export type Explanation = Schemas['ExplainReply']

export function addExplain(program: Command, io: Io): void {
  addVerb(program, io, {
    usage: 'explain',
    summary: 'explain why a request is granted or refused',
    description: 'Explains a decision. Give the request id of a refusal, a proof, or an attestor with facts.',
    options: (command) =>
      command
        .argument('[request]', 'request id of the refusal, req_…')
        .option('--proof <token-file>', 'file with a proof, which is sent to the server')
        .option('--attestor <name>', 'with --selector: the attestor of the facts')
        .option('--selector <key=value>', 'a fact, such as k8s:ns=prod; may be repeated', facts)
        .option('--workload <name>', 'workload entry to choose if several match'),
    examples: [
      'purser explain req_0f9a3c51e7bd48629d1c0a4be5f73826',
      'purser explain --attestor prod-eu --selector k8s:ns=prod --selector k8s:sa=web',
      'purser explain --proof token.jwt',
    ],
    reason: true,
    run: async (api, flags: Flags, requestId?: string) => {
      const request = { body: question(requestId, flags, io), reason: flags.reason }
      const { body } = await api.call('POST', '/api/v1/workloads:explain', request)
      show(io, flags, body, formatExplanation)
    },
  })
}

function question(requestId: string | undefined, flags: Flags, io: Io): Schemas['ExplainRequest'] {
  const { proof, attestor, selector, workload } = flags
  const questions = [requestId, proof, attestor ?? selector].filter((value) => value !== undefined)
  const workloadPart = workload === undefined ? {} : { workload }
  if (questions.length === 1) {
    if (requestId !== undefined) return { requestId, ...workloadPart }
    if (attestor !== undefined && selector !== undefined) return { attestor, selectors: selector, ...workloadPart }
    if (proof !== undefined) {
      const token = readText(io, proof, '--proof').trim()
      return { proof: { kind: isJoinToken(token) ? 'join-token' : 'jwt', token }, ...workloadPart }
    }
  }
  throw usageError('give one of: a request id, --proof, or --attestor with --selector')
}

const textOf = (value: string | string[] | undefined): string =>
  value === undefined ? 'nothing' : Array.isArray(value) ? value.join(' or ') : value

/** The outcome, then each entry with its failed conditions, then what to do. */
export function formatExplanation(explanation: Explanation): string {
  const { outcome, reason, detail, attestor, selectors, entries, grant, next } = explanation
  const head = [
    [outcome, [reason, detail].filter((text) => text !== undefined).join(': ')],
    ...(attestor === undefined ? [] : [['attestor', attestor]]),
    ...(selectors === undefined ? [] : [['facts', pairs(selectors)]]),
    ...entries.map((entry) => [`entry ${entry.workload.name}`, verdict(entry)]),
    ...(grant
      ? [
          ['SPIFFE ID', grant.spiffeId],
          ['may have', mayHave(grant)],
        ]
      : []),
    ...(next === undefined ? [] : [['what to do', next]]),
  ]
  return table(head)
}

function verdict({ matched, disabled, conditions }: Explanation['entries'][number]): string {
  if (matched) return disabled ? 'matches, but is disabled' : 'matches'
  const failed = conditions.filter(({ ok }) => !ok)
  return printable(
    failed.map(({ key, wanted, found }) => `${key} is ${textOf(found)}, expected ${textOf(wanted)}`).join('; '),
  )
}

function mayHave({ grants, sessionExpiresAt }: NonNullable<Explanation['grant']>): string {
  const { x509, jwt } = grants
  return [
    ...(x509 ? [`certificate${x509.dnsNames?.length ? ` (${x509.dnsNames.join(', ')})` : ''}`] : []),
    ...(jwt ? [`JWTs for ${jwt.audiences.join(', ')}`] : []),
    ...(sessionExpiresAt === undefined ? [] : [`until ${sessionExpiresAt}`]),
  ].join('; ')
}
