/**
 * An error, as far as a log may show it. Messages quote what was parsed, and Postgres's quote values, so a message is
 * logged only where its class declares `safeToLog = true`; a stack is its frames, without the message on top.
 */
export type LoggedError = { name: string; code?: string; message?: string; stack?: string[]; cause?: LoggedError }

const word = (value: unknown): string | undefined =>
  typeof value === 'string' && /^[A-Za-z0-9_.$-]{1,64}$/.test(value) ? value : undefined

/** @param options.stack for our own faults; who was merely refused needs none */
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

/** A message may itself hold lines that look like frames, so it is cut out before they are looked for. */
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
