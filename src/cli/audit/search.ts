/** `purser audit search`: entries that hold all the given facts, and which indexes were looked at. */
import { type Command, Option } from 'commander'
import { type Api, type ServerFlags, withApi } from '../api.ts'
import type { QueryOf, Schemas } from '../api-types.ts'
import { issuedIn } from '../log-entry.ts'
import type { Io } from '../io.ts'
import { pointInTime, positive, withExamples, withOutput, withServer } from '../options.ts'
import { type OutputFlags, remark, show, table } from '../output.ts'

const filters = {
  actor: 'an operator, a SPIFFE ID, or a kind of actor',
  session: 'a session, ses_…',
  spiffeId: 'whom it was given to',
  workload: 'the name of the workload entry',
  attestor: 'the name of the attestor',
  selector: 'a verified fact, key=value',
  action: 'such as credentials.issue',
  outcome: 'granted, refused, failed, intended or completed',
  reason: 'the code of a refusal',
  serialNumber: 'of a certificate',
  sha256: 'of a certificate, or of its public key',
  jti: 'of a JWT',
  path: 'a secret path',
  requestId: 'req_…',
  sourceIp: 'where the request came from',
  since: 'not before this time, or this duration before now, such as 1h',
  until: 'before this time',
  epoch: 'another epoch than the present one',
} as const satisfies Partial<Record<keyof Query, string>>

type Query = QueryOf<'GET', '/api/v1/audit/entries'>
type Page = Schemas['EntryList']
type Found = Omit<Page, 'nextCursor'> & { more: boolean }
type Flags = ServerFlags & OutputFlags & Pick<Query, keyof typeof filters | 'order'> & { limit: number }

const dashed = (name: string): string => name.replaceAll(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`)

export function addSearch(group: Command, io: Io): void {
  const command = group.command('search').summary('find entries that hold all the given facts, newest first')
  for (const [name, about] of Object.entries(filters)) {
    if (name === 'since' || name === 'until') command.option(`--${name} <time>`, about, pointInTime)
    else if (name === 'epoch') command.option('--epoch <number>', about, positive)
    else command.option(`--${dashed(name)} <value>`, about)
  }
  command
    .addOption(new Option('--order <order>', 'by index').choices(['asc', 'desc']))
    .option('-n, --limit <count>', 'how many entries at most', positive, 50)
    .action(async (flags: Flags) => {
      const found = await withApi(io, flags, (api) => search(api, flags))
      show(io, flags, found, ({ items }) =>
        table(items.map(row), ['INDEX', 'TIME', 'ACTION', 'OUTCOME', 'WHO', 'WHAT']),
      )
      const { range, redacted, more } = found
      const gone = redacted > 0 ? `, of which retention took ${redacted}` : ''
      remark(io, `looked at entries ${range.from} to ${range.to - 1} of epoch ${range.epoch}${gone}`)
      if (more) remark(io, 'there is more: raise --limit, or narrow the search')
    })
  withExamples(
    withOutput(withServer(command)),
    'purser audit search --workload web --since 2026-11-24T00:00:00Z',
    'purser audit search --serial-number 5a3c0de1f2b94786a1b2c3d4e5f60718 -o json',
    'purser audit search --outcome refused --attestor prod-eu -n 200',
  )
}

/** Page after page; pages that looked long and found nothing are gone on from too. */
async function search(api: Pick<Api, 'call'>, flags: Flags): Promise<Found> {
  const { limit, addr: _addr, caFile: _caFile, caSha256: _caSha256, output: _output, ...selection } = flags
  const pageFrom = async (cursor: string | undefined, left: number): Promise<Page> => {
    const query = { ...selection, limit: Math.min(left, 200), cursor }
    return (await api.call('GET', '/api/v1/audit/entries', { query })).body
  }
  let page = await pageFrom(undefined, limit)
  let found = foundIn(page)
  while (page.nextCursor !== null && found.items.length < limit) {
    page = await pageFrom(page.nextCursor, limit - found.items.length)
    found = join(found, foundIn(page))
  }
  return found
}

const foundIn = ({ nextCursor, ...page }: Page): Found => ({ ...page, more: nextCursor !== null })

function join(before: Found, next: Found): Found {
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
  return [String(index), time.slice(0, 19).replace('T', ' '), action, result, who, resourceOf(entry) ?? issued(entry)]
}

function resourceOf({ resource, detail }: Schemas['Entry']): string | undefined {
  if (!resource) return undefined
  const database = resource.kind === 'lease' ? detail?.['database'] : undefined
  return `${resource.kind} ${resource.name ?? resource.id}${typeof database === 'string' ? ` in ${database}` : ''}`
}

function issued(entry: Schemas['Entry']): string {
  const given = issuedIn(entry)
  const parts = [
    ...(given?.x509 ? [`certificate ${given.x509.serialNumber.slice(0, 8)}…`] : []),
    ...(given?.jwts ?? []).map((jwt) => `JWT for ${jwt.audience.join(' ')}`),
    ...(given?.secrets ?? []).map(({ path, version }) => `${path} version ${version}`),
    ...(given?.leases ?? []).map(({ id, database }) => `lease ${id} in ${database}`),
    ...(given?.accessToken ? ['access token'] : []),
    ...(given?.apiToken ? ['API token'] : []),
  ]
  return parts.length === 0 ? '-' : parts.join(', ')
}
