/**
 * Names in SQL (PostgreSQL documentation, 4.1.1). Rejected, never repaired: a name that Postgres would cut to 63 bytes is
 * another name, and a quoted one that nobody expects is as good as a trap.
 */

/** NAMEDATALEN - 1: what is longer is cut by the server without an error. */
const maxBytes = 63

/** What a name of anything must be; nothing where there is no fault. */
export function faultOfIdentifier(text: string): string | undefined {
  if (text === '') return 'must not be empty'
  if (text.includes('\0')) return 'must not hold a NUL'
  if (!text.isWellFormed()) return 'must be well-formed Unicode'
  if (/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u.test(text)) return 'must not hold control or invisible characters'
  if (Buffer.byteLength(text, 'utf8') > maxBytes) return `must be at most ${maxBytes} bytes, or Postgres cuts it`
  return undefined
}

/** Words that name no role but a meaning in GRANT, ALTER ROLE and SET ROLE. */
const reservedRoles = new Set(['public', 'none', 'current_user', 'session_user', 'current_role', 'user'])

/** What the name of a role must be: none that Postgres keeps for itself. */
export function faultOfRole(text: string): string | undefined {
  const lower = text.toLowerCase()
  if (lower.startsWith('pg_')) return 'must not begin with pg_: those roles are the server’s own'
  if (reservedRoles.has(lower)) return 'is a word with a meaning of its own, not a role'
  return faultOfIdentifier(text)
}

/** What the name of a schema must be: the server's own catalogs are nobody's to grant. */
export function faultOfSchema(text: string): string | undefined {
  const lower = text.toLowerCase()
  if (lower.startsWith('pg_') || lower === 'information_schema') return 'is one of the server’s own'
  return faultOfIdentifier(text)
}

/** @throws Error for what no caller may hand on: definitions are checked at the door */
export function quoteIdentifier(text: string): string {
  const fault = faultOfIdentifier(text)
  if (fault !== undefined) throw new Error(`an identifier ${fault}`)
  return `"${text.replaceAll('"', '""')}"`
}

/** For statements that take no parameters. Nothing but printable ASCII without quotes and backslashes is ever handed on. */
export function quoteLiteral(text: string): string {
  if (!/^[\x20-\x7e]*$/.test(text) || /['\\]/.test(text)) throw new Error('a literal holds what would need an escape')
  return `'${text}'`
}
