/**
 * The server's own log, for operations: one JSON object a line, of listed fields only (fields.ts). It is not the audit
 * log, and nothing that a stranger sent is needed in it.
 */
import { pino } from 'pino'
import { describeError } from './error.ts'
import { type LogFields, loggedFields } from './fields.ts'
import { masked } from './mask.ts'

export type { LogFields } from './fields.ts'

export type LogLevel = 'debug' | 'info' | 'warn' | 'error' | 'silent'

export type Logger = {
  debug(event: string, fields?: LogFields): void
  info(event: string, fields?: LogFields): void
  /** Something that an operator should look at, though the server goes on. */
  warn(event: string, fields?: LogFields): void
  /** A fault of ours: the only level whose errors carry their stack. */
  error(event: string, fields?: LogFields): void
}

/**
 * @param parts.stream where lines go, each ending in a line feed
 * @param parts.worker the number of this process among its workers
 */
export function createLogger(parts: {
  level: LogLevel
  stream: { write(line: string): unknown }
  worker?: number
}): Logger {
  // The second line: were a token, key or password ever put into a listed field, it is masked by its shape. pino's own
  // `redact` goes by the exact path of a field, and no path here may hold a secret, so it would have nothing to name.
  const out = pino(
    {
      level: parts.level,
      base: parts.worker === undefined ? {} : { worker: parts.worker },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'event',
      // pino's own serializer would add message and stack to whatever looks like an error.
      serializers: { err: (described: unknown) => described },
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => void parts.stream.write(asciiOnly(masked(line))) },
  )
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: LogFields = {}): void => {
      if (!out.isLevelEnabled(level)) return
      const kept = loggedFields(fields)
      const err = fields.err === undefined ? {} : { err: describeError(fields.err, { stack: level === 'error' }) }
      out[level]({ ...kept, ...err }, eventName(event))
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** Events are dotted words, so that none is a sentence with a value in it. */
const eventName = (event: string): string => (/^[a-z0-9_.-]{1,64}$/.test(event) ? event : 'event.misnamed')

/** Bidirectional and line-separator characters can't disturb a terminal: JSON's own escapes, so no value changes. */
function asciiOnly(line: string): string {
  return line.replace(/[^\n\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
