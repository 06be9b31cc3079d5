/** Entries of the log as the demo shows them: one a line. */
import type { Entry } from '../../audit/entry.ts'
import { table } from '../output.ts'
import type { Screen } from './screen.ts'
import type { Stage } from './stage.ts'

export type Item = { index: number; entry: Entry }

export async function readEntries({ api }: Stage, query: Record<string, string | number>): Promise<Item[]> {
  return (await api.call<{ items: Item[] }>('GET', '/api/v1/audit/entries', { query })).body.items
}

function whatOf({ issued, resource, detail }: Entry): string {
  if (issued?.x509) return `certificate ${issued.x509.serialNumber.slice(0, 8)}…`
  const [secret] = issued?.secrets ?? []
  const version = secret?.version ?? detail?.version ?? detail?.toVersion ?? detail?.fromVersion
  return typeof version === 'number' ? `version ${version}` : (resource?.name ?? '')
}

function rowOf({ index, entry }: Item): string[] {
  const { time, action, outcome, reason, actor } = entry
  const who = actor.workload ?? actor.operator ?? (actor.selectors ? String(actor.selectors['oidc:sub']) : actor.kind)
  return [`  ${index}`, time.slice(11, 19), action, reason ?? outcome, who, whatOf(entry)]
}

export const showEntries = (screen: Pick<Screen, 'line'>, items: readonly Item[]): void =>
  screen.line(table(items.map(rowOf)).trimEnd())
