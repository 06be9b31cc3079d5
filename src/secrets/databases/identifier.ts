/**
 * Identifiers in SQL (PostgreSQL documentation, 4.1.1). Invalid ones are rejected, never repaired: a name that Postgres
 * cuts to 63 bytes is another name.
 */

/** NAMEDATALEN - 1: the server cuts longer names without an error. */
const maxBytes = 63

/** The fault of an identifier, if any. */
export function faultOfIdentifier(text: string): string | undefined {
  if (text === '') return 'must not be empty'
  if (text.includes('\0')) return 'must not hold a NUL'
  if (!text.isWellFormed()) return 'must be well-formed Unicode'
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) return 'must not hold control or invisible characters'
  if (Buffer.byteLength(text, 'utf8') > maxBytes) return `must be at most ${maxBytes} bytes, or Postgres cuts it`
  return undefined
}

/** Keywords of GRANT, ALTER ROLE and SET ROLE. */
const reservedRoles = new Set(['public', 'none', 'current_user', 'session_user', 'current_role', 'user'])

/** The fault of a role name: Postgres reserves some. */
export function faultOfRole(text: string): string | undefined {
  const lower = text.toLowerCase()
  if (lower.startsWith('pg_')) return 'must not begin with pg_: those roles are the server’s own'
  if (reservedRoles.has(lower)) return 'is a word with a meaning of its own, not a role'
  return faultOfIdentifier(text)
}

/** The fault of a schema name: the server's catalogs cannot be granted. */
export function faultOfSchema(text: string): string | undefined {
  const lower = text.toLowerCase()
  if (lower.startsWith('pg_') || lower === 'information_schema') return 'is one of the server’s own'
  return faultOfIdentifier(text)
}

/** @throws Error for an invalid identifier: definitions are checked before they are stored */
export function quoteIdentifier(text: string): string {
  const fault = faultOfIdentifier(text)
  if (fault !== undefined) throw new Error(`an identifier ${fault}`)
  return `"${text.replaceAll('"', '""')}"`
}

/** For statements that take no parameters. Accepts printable ASCII without quotes and backslashes only. */
export function quoteLiteral(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text) || /['\\]/.test(text)) throw new Error('a literal holds what would need an escape')
  return `'${text}'`
}
