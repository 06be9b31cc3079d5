import type { Refusal } from '../errors.ts'

/** What a refusal says to operators, for findings and for the server's own log. */
export function wordsOf({ code, info }: Refusal): string {
  const detail = info.explanation?.detail
  return typeof detail === 'string' ? detail : code
}
