import { isObject } from '../verify/canonical.ts'

/** The members of a JSON object; undefined where the text is none. */
export function membersOf(text: string): Record<string, unknown> | undefined {
  try {
    const value: unknown = JSON.parse(text)
    return isObject(value) ? value : undefined
  } catch {
    return undefined
  }
}
