/** Ids and times in the notation of the real server. */
import { randomBytes } from 'node:crypto'

export const newId = (prefix: string): string => `${prefix}_${randomBytes(16).toString('hex')}`

/** RFC 3339 in UTC; whole seconds have no fraction. */
export const rfc3339 = (time: Date): string => time.toISOString().replace('.000Z', 'Z')
