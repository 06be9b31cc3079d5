/** What is to be verified: a file, stdin, or (seen by others) the argument itself. */
import { text } from 'node:stream/consumers'
import { CliError, type Io, exitCodes } from '../io.ts'
import { remark } from '../output.ts'
import { readText } from '../settings.ts'

export type Input = { kind: 'jwt'; token: string } | { kind: 'certificate'; pem: string }

const looksLikeToken = /^(?:eyJ[\w-]*\.[\w-]*\.[\w-]*|purser_[a-z]+_[\w-]+)$/

/** @throws CliError where it is neither certificate nor JWT; what was read is not shown */
export async function readInput(io: Io, argument: string): Promise<Input> {
  const given = looksLikeToken.test(argument)
  if (given) {
    remark(
      io,
      'warning: a token in an argument is seen by everybody on this machine, and kept in the history of the shell: put it into a file, or pipe it in with -',
    )
  }
  const read = given ? argument : argument === '-' ? await text(io.stdin) : readText(io, argument, 'verify')
  const trimmed = read.trim().replace(/^Authorization: Bearer /i, '')
  if (trimmed.includes('-----BEGIN ')) return { kind: 'certificate', pem: trimmed }
  if (trimmed.startsWith('purser_')) {
    throw new CliError(
      "that is one of Purser's own tokens, and says nothing by itself: `PURSER_API_TOKEN_FILE=<file> purser whoami` asks whose it is",
      exitCodes.usage,
    )
  }
  if (trimmed.split('.').length === 3 && !/\s/.test(trimmed)) return { kind: 'jwt', token: trimmed }
  throw new CliError('there is neither a certificate in PEM nor a JWT', exitCodes.usage)
}
