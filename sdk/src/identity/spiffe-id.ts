/** SPIFFE IDs (SPIFFE-ID section 2), by a strict pattern: a URL parser would repair IDs that must be refused. */
const shape = /^spiffe:\/\/([a-z0-9._-]{1,255})((?:\/(?!\.{1,2}(?:\/|$))[A-Za-z0-9._-]+)*)$/

/** @returns undefined for any other text; the path is empty or begins with a slash */
export function readSpiffeId(text: string): { trustDomain: string; path: string } | undefined {
  if (text.length > 2048) return undefined
  const [, trustDomain, path = ''] = shape.exec(text) ?? []
  return trustDomain === undefined ? undefined : { trustDomain, path }
}
