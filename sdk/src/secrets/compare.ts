/** Whether the log's entry tells which secrets this process was given: the same versions, and nothing beside them. */
import { isObject } from '../verify/canonical.ts'
import type { SecretReply } from './secret.ts'

/** In the words of a difference; nothing where there is none. Paths and versions alone: no value is in an entry. */
export function secretsOf(logged: unknown): string | undefined {
  if (logged === undefined) return undefined
  if (!Array.isArray(logged)) return 'no list'
  return logged.map((one: unknown) => (isObject(one) ? `${String(one.path)} ${String(one.version)}` : '?')).join(', ')
}

export const wordsFor = (secrets: readonly SecretReply[]): string | undefined =>
  secrets.length === 0 ? undefined : secrets.map(({ path, version }) => `${path} ${version}`).join(', ')
