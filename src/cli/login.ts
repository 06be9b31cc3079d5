/** `purser login` and `purser logout`: a session instead of an API token. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type ServerFlags, withApi } from './api.ts'
import type { ReplyOf } from './api-types.ts'
import { type Context, currentContext, readContexts, writeContexts } from './contexts.ts'
import { CliError, type Io, usageError } from './io.ts'
import { seconds, withExamples, withOutput, withServer } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'
import { type Prompts, withPrompts } from './prompts.ts'
import { setting } from './settings.ts'

type Flags = ServerFlags & OutputFlags & { context?: string; expires?: number }

export function addLogin(program: Command, io: Io): void {
  const command = program
    .command('login')
    .summary('log in with a password')
    .description(
      'Logs in as an operator, and keeps the token of the session, the address of the server and its roots in ~/.config/purser/config.json, which other users cannot read. Later commands use it where neither PURSER_API_TOKEN nor another server is named. Without a terminal, the password is the first line of stdin.',
    )
    .argument('[operator]', 'name of the operator (default: that of the last login)')
    .option('--context <name>', 'name for this server (default: its host)')
    .option('--expires <time>', 'lifetime of the session, from 1m to 12h (default 12h)', seconds)
    .action((operator: string | undefined, flags: Flags) =>
      withPrompts(io, (prompts) => logIn(io, prompts, flags, operator)),
    )
  withExamples(
    withOutput(withServer(command)),
    'purser login ada',
    'purser login ada --addr https://purser.example.org --ca-sha256 3f9a… --context prod',
  )
}

async function logIn(io: Io, prompts: Prompts, flags: Flags, name: string | undefined): Promise<void> {
  const before = currentContext(io, setting(io, 'PURSER_ADDR', flags.addr))
  const operator = name ?? before?.operator
  if (operator === undefined) throw usageError('name the operator: purser login ada')
  const { body, addr } = await withApi(io, flags, async (api) => {
    const password = await prompts.hidden(`password of ${operator}: `)
    const lifetime = flags.expires === undefined ? {} : { lifetimeSeconds: flags.expires }
    const call = (more: { code?: string }) =>
      api.call('POST', '/api/v1/sessions', { token: null, body: { operator, password, ...lifetime, ...more } })
    const reply = await call({}).catch(async (error: unknown) => {
      if (!(error instanceof CliError) || error.code !== 'code_required') return withAdvice(error)
      return call({ code: await prompts.hidden('code of the authenticator app, or a recovery code: ') }).catch(
        withAdvice,
      )
    })
    return { ...reply, addr: api.url }
  })
  const context = { addr, ...rootsOf(io, flags, before), operator, token: body.token ?? '', expiresAt: body.expiresAt }
  const current = flags.context ?? before?.name ?? new URL(addr).hostname
  await writeContexts(io, { current, contexts: { ...readContexts(io).contexts, [current]: context } })
  showSession(io, flags, body, current)
}

function showSession(
  io: Io,
  flags: Flags,
  { token: _, ...session }: ReplyOf<'POST', '/api/v1/sessions'>,
  context: string,
): void {
  const { operator, role, expiresAt } = session
  show(io, flags, { ...session, context }, () => '')
  remark(io, `logged in as ${operator} in the role ${role} until ${expiresAt}; the context is ${context}`)
}

/** The roots that were trusted for the login. */
function rootsOf(io: Io, flags: ServerFlags, before: Context | undefined): Pick<Context, 'caFile' | 'caSha256'> {
  const hasFlag = flags.caFile !== undefined || flags.caSha256 !== undefined
  const caFile = hasFlag ? flags.caFile : setting(io, 'PURSER_CA_FILE')
  const caSha256 = hasFlag ? flags.caSha256 : setting(io, 'PURSER_CA_SHA256')
  if (caFile === undefined && caSha256 === undefined) {
    return {
      ...(before?.caFile !== undefined && { caFile: before.caFile }),
      ...(before?.caSha256 !== undefined && { caSha256: before.caSha256 }),
    }
  }
  return { ...(caFile !== undefined && { caFile: resolve(caFile) }), ...(caSha256 !== undefined && { caSha256 }) }
}

function withAdvice(error: unknown): never {
  if (!(error instanceof CliError) || error.code !== 'unauthenticated') throw error
  const message = `the login was refused: name, password or code is wrong, or the operator is disabled or has no password
  what to do: try again, or let an admin set a password: purser operator password NAME`
  throw new CliError(message, error.exitCode, error.code)
}

export function addLogout(program: Command, io: Io): void {
  const command = program
    .command('logout')
    .summary('end the session of `purser login`')
    .description('Ends the session of the context in use at the server, and forgets its token.')
    .action(async () => {
      const context = currentContext(io, undefined)
      if (context?.token === undefined) throw usageError('there is no session: you are not logged in')
      const { name, token, expiresAt: _, ...rest } = context
      const flags = { addr: context.addr, ...rootsOf(io, {}, context) }
      await withApi(io, flags, (api) => api.call('DELETE', '/api/v1/sessions/self', { token })).catch(ignoreEnded)
      const { contexts } = readContexts(io)
      await writeContexts(io, { current: name, contexts: { ...contexts, [name]: rest } })
      remark(io, `logged out of ${context.addr}`)
    })
  withExamples(command, 'purser logout')
}

function ignoreEnded(error: unknown): void {
  if (!(error instanceof CliError) || error.code !== 'unauthenticated') throw error
}
