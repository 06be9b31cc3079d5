/** Reads a configuration from the given sources; `files` stands for the disk. */
import { type Config, ConfigError, type Sources, readConfig, readStoreConfig } from '../../src/config.ts'

export type Places = Omit<Sources, 'readFile'> & { files?: Record<string, string>; yaml?: string }

export const rootKey = Buffer.alloc(32, 7).toString('base64')

/** The minimum that a server needs. */
export const min = { PURSER_TRUST_DOMAIN: 'example.org' }

function sources({ files = {}, yaml, env, ...rest }: Places): Sources {
  const disk = new Map(Object.entries({ ...files, ...(yaml !== undefined && { '/etc/purser.yaml': yaml }) }))
  return {
    ...rest,
    env: yaml === undefined ? env : { PURSER_CONFIG: '/etc/purser.yaml', ...env },
    readFile: (path) => {
      const text = disk.get(path)
      if (text === undefined) throw Object.assign(new Error('no such file'), { code: 'ENOENT' })
      return text
    },
  }
}

export const read = (places: Places): Config => readConfig(sources(places))
export const readStore = (places: Places) => readStoreConfig(sources(places))

/** The faults, one line each; fails without any. */
export function faults(places: Places, reader: (places: Places) => unknown = read): string[] {
  try {
    reader(places)
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    return error.faults.map((fault) => `${fault.name}: ${fault.problem}`)
  }
  throw new Error('the configuration was accepted')
}
