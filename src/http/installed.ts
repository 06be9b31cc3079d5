/** Files that are installed beside package.json. */
import { existsSync } from 'node:fs'
import { fileURLToPath } from 'node:url'

/**
 * `src/http/` is two folders below package.json, `dist/src/http/` three.
 * @throws Error where the file is missing
 */
export function installedFile(name: string): string {
  const places = [`../../${name}`, `../../../${name}`].map((place) => fileURLToPath(new URL(place, import.meta.url)))
  const path = places.find((place) => existsSync(place))
  if (!path) throw new Error(`${name} is not where it was installed: looked for ${places.join(' and ')}`)
  return path
}
