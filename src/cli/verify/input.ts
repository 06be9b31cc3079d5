/** The credential to verify: from a file, stdin, or the argument itself, which other users can see. */
import { type Io, usageError } from '../io.ts'
import { remark } from '../output.ts'
import { readInput } from '../settings.ts'

export type Credential = { kind: 'jwt'; token: string } | { kind: 'certificate'; pem: string }

const looksLikeToken = /^(?:eyJ[\w-]*\.[\w-]*\.[\w-]*|purser_[a-z]+_[\w-]+)$/

/** @throws CliError when it is neither a certificate nor a JWT; the message does not quote it */
export async function readCredential(io: Io, argument: string): Promise<Credential> {
  const isToken = looksLikeToken.test(argument)
  if (isToken) {
    remark(
      io,
      'warning: other users of this machine can see a token in an argument, and the shell keeps it in its history: use a file, or pipe it in with -',
    )
  }
  const content = isToken ? argument : await readInput(io, argument, 'verify')
  const trimmed = content.trim().replace(/^Authorization: Bearer /i, '')
  if (trimmed.includes('-----BEGIN ')) return { kind: 'certificate', pem: trimmed }
  if (trimmed.startsWith('purser_')) {
    throw usageError(
      "this is one of Purser's own tokens, which cannot be verified offline: run `PURSER_API_TOKEN_FILE=<file> purser whoami`",
    )
  }
  if (trimmed.split('.').length === 3 && !/\s/.test(trimmed)) return { kind: 'jwt', token: trimmed }
  throw usageError('the input is neither a certificate in PEM nor a JWT')
}
