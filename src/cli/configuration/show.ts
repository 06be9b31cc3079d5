/** Plans for people: a line for each object that changes, and below it the members that differ. */
import { type Style, printable } from '../output.ts'
import { type Applied, needsPassword } from './apply.ts'
import type { MemberChange } from './differences.ts'
import { keyOf } from './kinds.ts'
import type { Action, PlanItem } from './plan.ts'

const signs = { create: '+', change: '~', delete: '-', unchanged: ' ' } as const
const colours = { create: 'green', change: 'yellow', delete: 'red', unchanged: 'dim' } as const
const done = { create: 'created', change: 'changed', delete: 'deleted', unchanged: 'unchanged' } as const
const maxValueLength = 200

export type Counts = Record<Action, number>

export function countsOf(items: readonly Pick<PlanItem, 'action'>[]): Counts {
  const counts: Counts = { create: 0, change: 0, delete: 0, unchanged: 0 }
  for (const { action } of items) counts[action]++
  return counts
}

export function formatPlan(items: readonly PlanItem[], style: Style): string {
  const lines = items.flatMap((item) => (item.action === 'unchanged' ? [] : linesOf(item, style)))
  const { create, change, delete: removed, unchanged } = countsOf(items)
  const totals = `${create} to create, ${change} to change, ${removed} to delete, ${unchanged} unchanged`
  return [...lines, totals, ''].join('\n')
}

function linesOf(item: PlanItem, style: Style): string[] {
  const note = needsPassword(item) ? ` (apply it with --password-file ${item.name}=<file>)` : ''
  const head = `${signs[item.action]} ${printable(keyOf(item))}${note}`
  return [style(colours[item.action], head), ...(item.changes ?? []).map((change) => `    ${memberLine(change)}`)]
}

function memberLine(change: MemberChange): string {
  const { member, before, after } = change
  if (!('after' in change)) return `- ${printable(member)}: ${valueOf(before)}`
  if (!('before' in change)) return `+ ${printable(member)}: ${valueOf(after)}`
  return `~ ${printable(member)}: ${valueOf(before)} → ${valueOf(after)}`
}

function valueOf(value: unknown): string {
  const text = printable(JSON.stringify(value))
  return text.length <= maxValueLength ? text : `${text.slice(0, maxValueLength).toWellFormed()}…`
}

export function formatApplied(items: readonly Applied[], style: Style): string {
  const lines = items.flatMap((item) => (item.action === 'unchanged' ? [] : [appliedLine(item, style)]))
  const { create, change, delete: removed, unchanged } = countsOf(items)
  return [...lines, `${create} created, ${change} changed, ${removed} deleted, ${unchanged} unchanged`, ''].join('\n')
}

function appliedLine(item: Applied, style: Style): string {
  const { action, revision, logIndex } = item
  const end = action === 'delete' ? '' : `, revision ${revision}`
  return `${style(colours[action], signs[action])} ${printable(keyOf(item))} ${done[action]}${end}, log ${logIndex ?? '-'}`
}
