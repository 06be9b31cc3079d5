/** What differs between two JSON values, member by member. */
import { isDeepStrictEqual } from 'node:util'
import { isMembers } from '../../json/members.ts'

/**
 * A member, as JSON pointer, with its value before and after. `before` alone is a member that goes, `after` alone a new one.
 * Where items of an array go or are new, the index counts in the array before or after.
 */
export type MemberChange = { member: string; before?: unknown; after?: unknown }

export function differences(before: unknown, after: unknown, member = ''): MemberChange[] {
  if (isDeepStrictEqual(before, after)) return []
  if (isMembers(before) && isMembers(after)) return ofMembers(before, after, member)
  if (Array.isArray(before) && Array.isArray(after)) return ofItems(before, after, member)
  return [{ member, before, after }]
}

function ofMembers(before: Record<string, unknown>, after: Record<string, unknown>, member: string): MemberChange[] {
  return [...new Set([...Object.keys(before), ...Object.keys(after)])].toSorted().flatMap((name) => {
    const at = `${member}/${name.replaceAll('~', '~0').replaceAll('/', '~1')}`
    if (!Object.hasOwn(after, name)) return [{ member: at, before: before[name] }]
    if (!Object.hasOwn(before, name)) return [{ member: at, after: after[name] }]
    return differences(before[name], after[name], at)
  })
}

/** Items that both arrays begin and end with are left out. */
function ofItems(before: readonly unknown[], after: readonly unknown[], member: string): MemberChange[] {
  const shorter = Math.min(before.length, after.length)
  let start = 0
  while (start < shorter && isDeepStrictEqual(before[start], after[start])) start++
  let end = 0
  while (end < shorter - start && isDeepStrictEqual(before.at(-1 - end), after.at(-1 - end))) end++
  const [removed, added] = [before.slice(start, before.length - end), after.slice(start, after.length - end)]
  const at = (n: number): string => `${member}/${start + n}`
  if (removed.length === added.length) return removed.flatMap((item, n) => differences(item, added[n], at(n)))
  return [
    ...removed.map((item, n) => ({ member: at(n), before: item })),
    ...added.map((item, n) => ({ member: at(n), after: item })),
  ]
}
