/** Checks the settings and reports every fault at once. All other checks need the settings. */
import { type Config, ConfigError, readConfig } from '../../config.ts'
import type { Io } from '../io.ts'
import { type Finding, collectOr, fail, note, ok, skipped, warn } from './finding.ts'

const check = 'configuration'

export function checkConfiguration(io: Pick<Io, 'env' | 'readFile'>): { config?: Config; findings: Finding[] } {
  try {
    const config = readConfig({ env: io.env, readFile: io.readFile })
    return { config, findings: collectOr(ok(check, 'valid'), config.warnings.map(warningFinding)) }
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error
    const advice = {
      why: 'the server refuses to start with it',
      do: 'correct the environment of the server, or the file in PURSER_CONFIG; docs/configuration.md lists every setting',
    }
    const rest = skipped('all other checks', 'they need a valid configuration')
    return { findings: [...error.faults.map(({ name, problem }) => fail(check, `${name}: ${problem}`, advice)), rest] }
  }
}

/** A setting that works but is probably a mistake. Only clear text is dangerous. */
function warningFinding(warning: string): Finding {
  if (warning.startsWith('PURSER_INSECURE_HTTP')) {
    return warn(check, warning, { do: 'unset PURSER_INSECURE_HTTP: the server creates its own certificate' })
  }
  return note(warning.startsWith('PURSER_PUBLIC_URL') ? 'public URL' : check, warning)
}
