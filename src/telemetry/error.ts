/**
 * The loggable parts of an error. Messages may quote parsed input or values of Postgres, so a message is logged only when
 * its class declares `safeToLog = true`. A stack consists of its frames, without the message.
 */
export type LoggedError = { name: string; code?: string; message?: string; stack?: string[]; cause?: LoggedError }

const word = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[A-Za-z0-9_.$-]{1,64}$/.test(value) ? value : undefined

/** @param options.stack include the stack, for faults of Purser; a refusal needs none */
export function describeError(error: unknown, options: { stack: boolean }, depth = 0): LoggedError {
  if (!(error instanceof Error)) return { name: `thrown ${typeof error}` }
  const code = word('code' in error ? error.code : undefined)
  const cause = depth < 4 && error.cause !== undefined ? describeError(error.cause, options, depth + 1) : undefined
  return {
    name: word(error.name) ?? 'Error',
    ...(code !== undefined && { code }),
    ...('safeToLog' in error && error.safeToLog === true && { message: error.message.slice(0, 512) }),
    ...(options.stack && { stack: frames(error) }),
    ...(cause && { cause }),
  }
}

/** Removes the message before it searches for frames, since a message may contain lines that look like frames. */
function frames(error: Error): string[] {
  const stack = typeof error.stack === 'string' ? error.stack : ''
  const from = stack.indexOf(error.message)
  const below = from >= 0 ? stack.slice(from + error.message.length) : ''
  return below
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => /^at .*:\d+:\d+\)?$/.test(line))
    .slice(0, 20)
}
