/** Prints entries of the log, one per line. */
import type { QueryOf, Schemas } from '../api-types.ts'
import type { Issued } from '../../store/issued.ts'
import { table } from '../output.ts'
import type { Screen } from './screen.ts'
import type { Stage } from './stage.ts'

type Entry = Schemas['Entry']
type Item = { index: number; entry: Entry }

export async function readEntries({ api }: Stage, query: QueryOf<'GET', '/api/v1/audit/entries'>): Promise<Item[]> {
  const { items } = (await api.call('GET', '/api/v1/audit/entries', { query })).body
  return items.flatMap(({ index, entry }) => (entry ? [{ index, entry }] : []))
}

function whatOf({ resource, detail = {}, ...entry }: Entry): string {
  const issued: Issued | undefined = entry.issued
  if (issued?.x509) return `certificate ${issued.x509.serialNumber.slice(0, 8)}…`
  const { version, versions, toVersion, fromVersion } = detail
  const [secretVersion] = issued?.secrets?.map((secret) => secret.version) ?? (Array.isArray(versions) ? versions : [])
  const number: unknown = secretVersion ?? version ?? toVersion ?? fromVersion
  return typeof number === 'number' ? `version ${number}` : (resource?.name ?? '')
}

function whoOf({ kind, workload, operator, spiffeId, selectors }: Entry['actor']): string {
  const subject = selectors?.['oidc:sub']
  return workload ?? operator ?? spiffeId?.split('/').at(-1) ?? (typeof subject === 'string' ? subject : kind)
}

const rowOf = ({ index, entry }: Item): string[] => [
  `  ${index}`,
  entry.time.slice(11, 19),
  entry.action,
  entry.reason ?? entry.outcome,
  whoOf(entry.actor),
  whatOf(entry),
]

export const showEntries = (screen: Pick<Screen, 'line'>, items: readonly Item[]): void =>
  screen.line(table(items.map(rowOf)).trimEnd())
