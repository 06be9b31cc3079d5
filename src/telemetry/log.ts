/**
 * The server log, for operations: one JSON object a line, with listed fields only (fields.ts). It is not the audit log,
 * and has no content of requests.
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
  /** The server continues, but an operator should look at it. */
  warn(event: string, fields?: LogFields): void
  /** A fault of Purser. Only this level logs the stacks of errors. */
  error(event: string, fields?: LogFields): void
}

/**
 * @param parts.stream receives lines, each with a line feed
 * @param parts.worker the number of this worker process
 */
export function createLogger(parts: {
  level: LogLevel
  stream: { write(line: string): unknown }
  worker?: number
}): Logger {
  // A second line of defence masks tokens, keys and passwords by their form, in case one is put into a listed field.
  // pino's own `redact` works by the path of a field, and no field here is for secrets.
  const out = pino(
    {
      level: parts.level,
      base: parts.worker === undefined ? {} : { worker: parts.worker },
      timestamp: pino.stdTimeFunctions.isoTime,
      messageKey: 'event',
      // pino's own serializer would add message and stack to anything that looks like an error.
      serializers: { err: (loggedError: unknown) => loggedError },
      formatters: { level: (label) => ({ level: label }) },
    },
    { write: (line) => void parts.stream.write(asciiOnly(masked(line))) },
  )
  const at =
    (level: 'debug' | 'info' | 'warn' | 'error') =>
    (event: string, fields: LogFields = {}): void => {
      if (!out.isLevelEnabled(level)) return
      const listedFields = loggedFields(fields)
      const err = fields.err === undefined ? {} : { err: describeError(fields.err, { stack: level === 'error' }) }
      out[level]({ ...listedFields, ...err }, eventName(event))
    }
  return { debug: at('debug'), info: at('info'), warn: at('warn'), error: at('error') }
}

/** An event is dotted words, so that no event is a sentence with a value. */
const eventName = (event: string): string => (/^[a-z0-9_.-]{1,64}$/.test(event) ? event : 'event.misnamed')

/** Escapes all but ASCII, such as bidirectional and line-separator characters, which could disturb a terminal. */
function asciiOnly(line: string): string {
  return line.replace(/[^\n\x20-\x7e]/g, (unit) => `\\u${unit.charCodeAt(0).toString(16).padStart(4, '0')}`)
}
