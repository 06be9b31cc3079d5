import { readFileSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/** package.json is beside src/ in the source and two levels up from dist/src/. */
function read(): string {
  for (const place of ['../package.json', '../../package.json']) {
    try {
      const { name, version } = JSON.parse(readFileSync(fileURLToPath(new URL(place, import.meta.url)), 'utf8')) as {
        name: string
        version: string
      }
      if (name === 'purser') return version
    } catch {
      // The other place, then.
    }
  }
  return 'unknown'
}

export const version = read()
