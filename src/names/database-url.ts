/** The hosts of a database URL: a list as libpq reads it (PostgreSQL documentation, 34.1.1.3). */

export type DatabaseHosts = {
  /** One URL for each host, in order, without `target_session_attrs`. */
  urls: string[]
  /** A host that takes no writes is passed over. */
  wantsWritable: boolean
}

const writable = ['read-write', 'primary']

/** @returns what is wrong, as text, where it is no such URL */
export function parseDatabaseUrl(text: string): DatabaseHosts | string {
  const [, scheme = '', authority = '', rest = ''] = /^(postgres(?:ql)?:\/\/)([^/?#]*)(.*)$/is.exec(text) ?? []
  const hostsAt = authority.lastIndexOf('@') + 1
  const hosts = authority.slice(hostsAt).split(',')
  const [path, query] = splitOnce(rest, '?')
  const parameters = new URLSearchParams(query)
  const wanted = parameters.get('target_session_attrs') ?? undefined
  parameters.delete('target_session_attrs')
  const kept = wanted === undefined ? rest : path + (parameters.size > 0 ? `?${parameters.toString()}` : '')
  const urls = hosts.map((host) => `${scheme}${authority.slice(0, hostsAt)}${host}${kept}`)
  if (scheme === '' || !urls.every((url) => URL.canParse(url))) {
    return 'must be a URL such as postgres://user:password@host:5432/purser, or postgres://user:password@host1:5432,host2:5432/purser'
  }
  if (hosts.length > 1 && hosts.some((host) => host === '')) return 'has an empty host in its list'
  if (parameters.get('host')?.includes(',')) return 'must list its hosts before the path: postgres://user@host1:5432,host2:5432/purser' // prettier-ignore
  if (wanted !== undefined && !writable.includes(wanted)) {
    return 'must have target_session_attrs=read-write, or none: Purser writes'
  }
  return { urls, wantsWritable: hosts.length > 1 || wanted !== undefined }
}

function splitOnce(text: string, at: string): [string, string | undefined] {
  const index = text.indexOf(at)
  return index < 0 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)]
}

/** The same of a URL that the configuration has judged before. */
export function databaseHosts(url: string): DatabaseHosts {
  const hosts = parseDatabaseUrl(url)
  if (typeof hosts === 'string') throw new TypeError(`the database URL ${hosts}`)
  return hosts
}

/** Host and port of each, for people. */
export const hostsInWords = ({ urls }: DatabaseHosts): string => urls.map((url) => new URL(url).host).join(',')
