/**
 * The server's configuration: flags, environment and an optional YAML file, read once into a frozen object. All faults
 * are reported at once. config/names.ts describes the settings; docs/configuration.md is generated from it.
 */
import { BadValue, ConfigError, type Fault } from './config/error.ts'
import { type Report, type Values, join } from './config/join.ts'
import { settings } from './config/names.ts'
import type { Setting } from './config/setting.ts'
import type { Config } from './config/shape.ts'
import { type Sources, gather } from './config/sources.ts'

export { ConfigError } from './config/error.ts'
export type { Config } from './config/shape.ts'
export type { Sources } from './config/sources.ts'

/** The configuration of verbs that only use the store. */
export type StoreConfig = Pick<Config, 'dataDir' | 'database' | 'log' | 'warnings'>

/**
 * Reads the whole configuration.
 * @throws ConfigError with every fault
 */
export function readConfig(sources: Sources): Config {
  return frozen(read(sources, {}))
}

/**
 * Reads what `purser migrate` needs. Trust domain, public URL and root key may be missing, but not invalid.
 * @throws ConfigError with every fault
 */
export function readStoreConfig(sources: Sources): StoreConfig {
  const unused = { PURSER_TRUST_DOMAIN: 'unused.invalid', PURSER_PUBLIC_URL: 'https://unused.invalid' }
  const defaults = { ...unused, ...sources.defaults }
  const { dataDir, database, log, warnings } = read({ ...sources, defaults }, { withoutRootKey: true })
  return frozen({ dataDir, database, log, warnings })
}

/** For the server log at start: JSON with masked secrets. */
export function describeConfig(config: Config | StoreConfig): string {
  return JSON.stringify(config)
}

function read(sources: Sources, options: Pick<Report, 'withoutRootKey'>): Config {
  const faults: Fault[] = []
  const texts = gather(sources, faults)
  const parse = (setting: Setting<unknown>): unknown => {
    const source = texts.get(setting.env)
    if (source?.text !== undefined) {
      try {
        return setting.parse(source.text)
      } catch (error) {
        if (!(error instanceof BadValue)) throw error
        faults.push({ name: source.name, problem: error.message })
      }
    }
    return setting.default === undefined ? undefined : setting.parse(setting.default)
  }
  const values = Object.fromEntries(Object.entries(settings).map(([key, setting]) => [key, parse(setting)]))
  if (!isComplete(values)) throw new TypeError('a setting was not read')
  const config = join(values, { present: new Set(texts.keys()), faults, warnings: [], ...options })
  if (faults.length > 0) throw new ConfigError(faults)
  return config
}

/** Each value comes from the parser of its own row, which Object.entries cannot express. */
function isComplete(values: Record<string, unknown>): values is Values {
  return Object.keys(settings).every((key) => Object.hasOwn(values, key))
}

function frozen<T extends object>(value: T): T {
  for (const part of Object.values(value)) if (typeof part === 'object' && part !== null) frozen(part)
  return Object.freeze(value)
}
