import type { Refusal } from '../errors.ts'

/** The reason of a refusal, for findings and the server log. */
export function describeRefusal({ code, info }: Refusal): string {
  const detail = info.explanation?.detail
  return typeof detail === 'string' ? detail : code
}
