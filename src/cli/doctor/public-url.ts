/** Checks the public URL, where relying parties read discovery and keys. */
import { lookup } from 'node:dns/promises'
import type { Config } from '../../config.ts'
import { isLoopback } from '../../config/values.ts'
import { codeOf } from '../io.ts'
import { type Finding, note, ok } from './finding.ts'

const check = 'public URL'

export async function checkPublicUrl({ publicUrl, database }: Config): Promise<Finding[]> {
  const host = new URL(publicUrl).hostname.replace(/^\[|\]$/g, '')
  if (isLoopback(host)) {
    const level = database.kind === 'postgres' ? note : ok
    return [level(check, `${publicUrl} is only reachable from this host: others cannot read discovery and keys there`)]
  }
  try {
    await lookup(host)
    return [ok(check, publicUrl)]
  } catch (error) {
    return [
      note(check, `${host} does not resolve from here (${codeOf(error) ?? 'unknown'})`, {
        why: 'relying parties (clouds, services that verify JWTs) read discovery and keys there',
        do: `on a host of theirs: curl ${publicUrl}/.well-known/openid-configuration`,
      }),
    ]
  }
}
