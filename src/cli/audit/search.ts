/** `purser audit search`: entries that match all filters, and the range of indexes that was searched. */
import { type Command, Option } from 'commander'
import type { Api, ServerFlags } from '../api.ts'
import type { QueryOf, Schemas } from '../api-types.ts'
import type { Issued } from '../../store/issued.ts'
import type { Io } from '../io.ts'
import { pointInTime, positive } from '../options.ts'
import { type OutputFlags, remark, show, table } from '../output.ts'
import { addVerb } from '../verb.ts'

const filters = {
  actor: 'operator, SPIFFE ID, or kind of actor',
  session: 'session, ses_…',
  spiffeId: 'SPIFFE ID of the workload',
  workload: 'name of the workload entry',
  attestor: 'name of the attestor',
  selector: 'verified fact, key=value',
  action: 'action, such as credentials.issue',
  outcome: 'granted, refused, failed, intended or completed',
  reason: 'code of a refusal',
  serialNumber: 'serial number of a certificate',
  sha256: 'SHA-256 of a certificate or its public key',
  jti: 'jti of a JWT',
  path: 'path of a secret',
  requestId: 'request id, req_…',
  sourceIp: 'IP address of the client',
  since: 'only entries since this time, or this duration before now, such as 1h',
  until: 'only entries before this time',
  epoch: 'epoch of the log (default: the current one)',
} as const satisfies Partial<Record<keyof Query, string>>

type Query = QueryOf<'GET', '/api/v1/audit/entries'>
type Page = Schemas['EntryList']
type Result = Omit<Page, 'nextCursor'> & { more: boolean }
type Flags = ServerFlags & OutputFlags & Pick<Query, keyof typeof filters | 'order'> & { limit: number }

const optionName = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

export function addSearch(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'search',
    summary: 'find entries that match all filters, newest first',
    options: withFilters,
    examples: [
      'purser audit search --workload web --since 2026-11-24T00:00:00Z',
      'purser audit search --serial-number 5a3c0de1f2b94786a1b2c3d4e5f60718 -o json',
      'purser audit search --outcome refused --attestor prod-eu -n 200',
    ],
    run: async (api, flags: Flags) => {
      const result = await search(api, flags)
      show(io, flags, result, ({ items }) =>
        table(items.map(row), ['INDEX', 'TIME', 'ACTION', 'OUTCOME', 'WHO', 'WHAT']),
      )
      const { range, redacted, more } = result
      const note = redacted > 0 ? `, of which ${redacted} are redacted` : ''
      remark(io, `searched entries ${range.from} to ${range.to - 1} of epoch ${range.epoch}${note}`)
      if (more) remark(io, 'there are more entries: raise --limit, or narrow the search')
    },
  })
}

function withFilters(command: Command): Command {
  for (const [name, about] of Object.entries(filters)) {
    if (name === 'since' || name === 'until') command.option(`--${name} <time>`, about, pointInTime)
    else if (name === 'epoch') command.option('--epoch <number>', about, positive)
    else command.option(`--${optionName(name)} <value>`, about)
  }
  return command
    .addOption(new Option('--order <order>', 'order by index').choices(['asc', 'desc']))
    .option('-n, --limit <count>', 'maximum number of entries', positive, 50)
}

/** Reads page by page; a page may be empty although the search goes on. */
async function search(api: Pick<Api, 'call'>, flags: Flags): Promise<Result> {
  const { limit, addr: _addr, caFile: _caFile, caSha256: _caSha256, output: _output, ...selection } = flags
  const pageFrom = async (cursor: string | undefined, remaining: number): Promise<Page> => {
    const query = { ...selection, limit: Math.min(remaining, 200), cursor }
    return (await api.call('GET', '/api/v1/audit/entries', { query })).body
  }
  let page = await pageFrom(undefined, limit)
  let result = resultOf(page)
  while (page.nextCursor !== null && result.items.length < limit) {
    page = await pageFrom(page.nextCursor, limit - result.items.length)
    result = join(result, resultOf(page))
  }
  return result
}

const resultOf = ({ nextCursor, ...page }: Page): Result => ({ ...page, more: nextCursor !== null })

function join(before: Result, next: Result): Result {
  return {
    ...next,
    items: [...before.items, ...next.items],
    range: {
      ...next.range,
      from: Math.min(before.range.from, next.range.from),
      to: Math.max(before.range.to, next.range.to),
    },
    redacted: before.redacted + next.redacted,
  }
}

function row({ index, entry }: Page['items'][number]): string[] {
  if (!entry) return [String(index), '-', 'redacted', '-', '-', '-']
  const { time, action, outcome, reason, actor } = entry
  const who = actor.operator ?? actor.spiffeId ?? actor.attestor ?? actor.kind
  const result = reason === undefined ? outcome : `${outcome}: ${reason}`
  return [
    String(index),
    time.slice(0, 19).replace('T', ' '),
    action,
    result,
    who,
    resourceOf(entry) ?? describeIssued(entry),
  ]
}

function resourceOf({ resource, detail }: Schemas['Entry']): string | undefined {
  if (!resource) return undefined
  const database = resource.kind === 'lease' ? detail?.['database'] : undefined
  return `${resource.kind} ${resource.name ?? resource.id}${typeof database === 'string' ? ` in ${database}` : ''}`
}

function describeIssued(entry: Schemas['Entry']): string {
  const { x509, jwts = [], secrets = [], leases = [], accessToken, apiToken }: Issued = entry.issued ?? {}
  const parts = [
    ...(x509 ? [`certificate ${x509.serialNumber.slice(0, 8)}…`] : []),
    ...jwts.map((jwt) => `JWT for ${jwt.audience.join(' ')}`),
    ...secrets.map(({ path, version }) => `${path} version ${version}`),
    ...leases.map(({ id, database }) => `lease ${id} in ${database}`),
    ...(accessToken ? ['access token'] : []),
    ...(apiToken ? ['API token'] : []),
  ]
  return parts.length === 0 ? '-' : parts.join(', ')
}
