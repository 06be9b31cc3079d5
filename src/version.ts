import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** package.json is beside src/ in the source and two levels up from dist/src/. */
function read(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const text = readFileSync(fileURLToPath(new URL(place, import.meta.url)), 'utf8')
      const manifest: { name: string; version: string } = JSON.parse(text)
      if (manifest.name === 'purser') return manifest.version
    } catch {
      // The other place, then.
    }
  }
  return 'unknown'
}

export const version = read()

/** What this server has, for clients of any age: they leave out what is missing here. */
export const features = ['x509', 'jwt', 'access-token', 'audit', 'renewal', 'secrets', 'databases', 'watch'] as const
