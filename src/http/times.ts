import { rfc3339 } from '../issue/lifetime.ts'

/** The member of a view with a time; none without one. */
export const timeMember = (name: string, time: Date | undefined): Record<string, string> =>
  time ? { [name]: rfc3339(time) } : {}
