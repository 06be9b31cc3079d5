/** The server's settings, every fault at once. Without them nothing else can be looked at. */
import { type Config, ConfigError, readConfig } from '../../config.ts'
import type { Io } from '../io.ts'
import { type Finding, fail, note, ok, skipped, warn } from './finding.ts'

const check = 'configuration'

export function lookAtConfiguration(io: Pick<Io, 'env' | 'readFile'>): { config?: Config; findings: Finding[] } {
  try {
    const config = readConfig({ env: io.env, readFile: io.readFile })
    const warnings = config.warnings.map(ofWarning)
    return { config, findings: warnings.length > 0 ? warnings : [ok(check, 'no fault')] }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const advice = {
      why: 'the server refuses to start with it',
      do: 'mend it where the server gets its environment (or in the file of PURSER_CONFIG); docs/configuration.md lists every name',
    }
    const rest = skipped('all the rest', 'the configuration says where to look')
    return { findings: [...error.faults.map(({ name, problem }) => fail(check, `${name}: ${problem}`, advice)), rest] }
  }
}

/** What works and is probably not meant; clear text is the one that may cost something. */
function ofWarning(words: string): Finding {
  if (words.startsWith('PURSER_INSECURE_HTTP')) {
    return warn(check, words, { do: 'unset PURSER_INSECURE_HTTP; the server makes its own certificate' })
  }
  return note(words.startsWith('PURSER_PUBLIC_URL') ? 'public URL' : check, words)
}
