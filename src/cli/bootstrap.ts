/** `purser bootstrap`: exchanges the bootstrap token for the first admin API token. */
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput, withServer } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'
import { readText } from './settings.ts'

type Flags = ServerFlags & OutputFlags & { tokenFile?: string; reissue?: boolean; reason?: string }

export function addBootstrap(program: Command, io: Io): void {
  const command = program
    .command('bootstrap')
    .summary('exchange the bootstrap token for the first API token')
    .description(
      'Exchanges the bootstrap token of the first start for an admin API token, and prints that once to stdout. On the host of the server it finds the bootstrap token and the roots in the data directory.',
    )
    .option(
      '--token-file <file>',
      'file with the bootstrap token (PURSER_BOOTSTRAP_TOKEN_FILE, else bootstrap-token in the data directory)',
    )
    .option('--reissue', "create a new bootstrap token; needs the server's root key and database")
    .option('--reason <text>', 'with --reissue: reason for the audit log, up to 200 characters')
    .action(async (flags: Flags) => {
      const dataDir = io.env.PURSER_DATA_DIR ?? './purser-data'
      const path = flags.tokenFile ?? io.env.PURSER_BOOTSTRAP_TOKEN_FILE ?? join(dataDir, 'bootstrap-token')
      if (flags.reissue) {
        const { reissue } = await import('./bootstrap-reissue.ts')
        const { expiresAt } = await reissue(io, path, flags.reason)
        remark(
          io,
          `a new bootstrap token is in ${path}, valid until ${expiresAt}: run \`purser bootstrap\` to exchange it`,
        )
        return
      }
      const token = readText(io, path, 'the bootstrap token').trim()
      const { body } = await withApi(io, { ...flags, ...localRoots(io, flags, dataDir) }, (api) =>
        api.call('POST', '/api/v1/bootstrap', { token }),
      ).catch(withAdvice)
      show(io, flags, body, (reply) => `${reply.token}\n`)
      remark(
        io,
        `${body.tokenId}: an admin API token, valid until ${body.expiresAt}. Set PURSER_API_TOKEN: it is not shown again.`,
      )
    })
  withExamples(
    withOutput(withServer(command)),
    'export PURSER_API_TOKEN="$(purser bootstrap)"',
    'purser bootstrap --addr https://purser.example.org --token-file bootstrap-token --ca-sha256 3f9a…',
    'purser bootstrap --reissue --reason "the first admin token was lost"',
  )
}

/** The server refuses a spent, replaced or expired token like an unknown one. */
function withAdvice(error: unknown): never {
  if (!(error instanceof CliError) || error.code !== 'unauthenticated') throw error
  const message = `the bootstrap token is spent, expired or replaced
  what to do: set PURSER_API_TOKEN to the API token that it was exchanged for. If that is lost, run on the server's host:
              purser bootstrap --reissue --reason "the first API token was lost", then purser bootstrap`
  throw new CliError(message, exitCodes.refused, error.code)
}

/** The roots that the server wrote beside the token, unless the caller chose others. */
function localRoots({ env }: Io, flags: ServerFlags, dataDir: string): ServerFlags {
  const path = join(dataDir, 'ca.pem')
  const names = ['PURSER_CA_FILE', 'PURSER_CA_SHA256', 'PURSER_CA_SHA256_FILE']
  const hasRoots = (flags.caFile ?? flags.caSha256) !== undefined || names.some((name) => env[name])
  return hasRoots || !existsSync(path) ? {} : { caFile: path }
}
