/** Where the world reaches Purser: the issuer that relying parties read keys from. */
import { lookup } from 'node:dns/promises'
import type { Config } from '../../config.ts'
import { isLoopback } from '../../config/values.ts'
import { type Finding, codeOf, note, ok } from './finding.ts'

const check = 'public URL'

export async function lookAtPublicUrl({ publicUrl, database }: Config): Promise<Finding[]> {
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')
  if (isLoopback(host)) {
    const level = database.kind === 'postgres' ? note : ok
    return [level(check, `${publicUrl} is this host's own: nobody else can read keys and discovery there`)]
  }
  try {
    await lookup(host)
    return [ok(check, publicUrl)]
  } catch (error) {
    return [
      note(check, `${host} does not resolve from here (${codeOf(error) ?? 'unknown'})`, {
        why: 'relying parties (clouds, services that verify JWTs) read discovery and keys there',
        do: `from where they are: curl ${publicUrl}/.well-known/openid-configuration`,
      }),
    ]
  }
}
