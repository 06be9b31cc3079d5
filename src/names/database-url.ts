/** Parses a database URL with a list of hosts, as libpq does (PostgreSQL documentation, 34.1.1.3). */

export type DatabaseHosts = {
  /** One URL for each host, in order, without `target_session_attrs`. */
  urls: string[]
  /** Skip hosts that accept no writes. */
  wantsWritable: boolean
}

const writable = ['read-write', 'primary']

/** @returns the problem as text when the URL is invalid */
export function parseDatabaseUrl(text: string): DatabaseHosts | string {
  const [, scheme = '', authority = '', rest = ''] = /^(postgres(?:ql)?:\/\/)([^/?#]*)(.*)$/is.exec(text) ?? []
  const hostsAt = authority.lastIndexOf('@') + 1
  const hosts = authority.slice(hostsAt).split(',')
  const [path, query] = splitOnce(rest, '?')
  const parameters = new URLSearchParams(query)
  const sessionAttrs = parameters.get('target_session_attrs') ?? undefined
  parameters.delete('target_session_attrs')
  const suffix = sessionAttrs === undefined ? rest : path + (parameters.size > 0 ? `?${parameters.toString()}` : '')
  const urls = hosts.map((host) => `${scheme}${authority.slice(0, hostsAt)}${host}${suffix}`)
  if (scheme === '' || !urls.every((url) => URL.canParse(url))) {
    return 'must be a URL such as postgres://user:password@host:5432/purser, or postgres://user:password@host1:5432,host2:5432/purser'
  }
  if (hosts.length > 1 && hosts.some((host) => host === '')) return 'has an empty host in its list'
  if (parameters.get('host')?.includes(',')) return 'must list its hosts before the path: postgres://user@host1:5432,host2:5432/purser' // prettier-ignore
  if (sessionAttrs !== undefined && !writable.includes(sessionAttrs)) {
    return 'must have target_session_attrs=read-write, or none: Purser writes'
  }
  return { urls, wantsWritable: hosts.length > 1 || sessionAttrs !== undefined }
}

function splitOnce(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at)
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)]
}

/** The hosts of a URL that the configuration has validated. */
export function databaseHosts(url: string): DatabaseHosts {
  const hosts = parseDatabaseUrl(url)
  if (typeof hosts === 'string') throw new TypeError(`the database URL ${hosts}`)
  return hosts
}

/** The hosts and ports, for messages. */
export const hostsInWords = ({ urls }: DatabaseHosts): string => urls.map((url) => new URL(url).host).join(',')
