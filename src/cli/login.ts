/** `purser login` and `purser logout`: a session instead of an API token. */
import { resolve } from 'node:path'
import type { Command } from 'commander'
import { type Api, type ServerFlags, withApi } from './api.ts'
import type { ReplyOf } from './api-types.ts'
import { type Context, currentContext, readContexts, writeContexts } from './contexts.ts'
import { CliError, type Io, usageError } from './io.ts'
import { seconds, withExamples, withOutput, withServer } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'
import { withPrompts } from './prompts.ts'
import { setting } from './settings.ts'

type Flags = ServerFlags & OutputFlags & { context?: string; expires?: number; oidc?: boolean; device?: boolean }

export function addLogin(program: Command, io: Io): void {
  const command = program
    .command('login')
    .summary('log in with a password, or at an OpenID provider')
    .description(
      'Logs in as an operator, and keeps the token of the session, the address of the server and its roots in ~/.config/purser/config.json, which other users cannot read. Later commands use it where neither PURSER_API_TOKEN nor another server is named. Without a terminal, the password is the first line of stdin. With --oidc or --device, the provider of the server identifies the operator, and no password is needed.',
    )
    .argument('[operator]', 'name of the operator (default: that of the last login)')
    .option('--oidc', 'log in at the OpenID provider of the server, with a browser on this machine')
    .option('--device', 'log in at this provider by a code that any browser confirms')
    .option('--context <name>', 'name for this server (default: its host)')
    .option('--expires <time>', 'lifetime of the session, from 1m to 12h (default 12h)', seconds)
    .action((operator: string | undefined, flags: Flags) => logIn(io, flags, operator))
  withExamples(
    withOutput(withServer(command)),
    'purser login ada',
    'purser login --oidc',
    'purser login ada --addr https://purser.example.org --ca-sha256 3f9a… --context prod',
  )
}

type Session = ReplyOf<'POST', '/api/v1/sessions'>

async function logIn(io: Io, flags: Flags, name: string | undefined): Promise<void> {
  const before = currentContext(io, setting(io, 'PURSER_ADDR', flags.addr))
  const { addr, ...body } = await withApi(io, flags, async (api) => {
    const session =
      flags.oidc || flags.device
        ? await byProvider(io, api, flags, name)
        : await byPassword(io, api, flags, name ?? before?.operator)
    return { ...session, addr: api.url }
  })
  const { operator } = body
  const context = { addr, ...rootsOf(io, flags, before), operator, token: body.token ?? '', expiresAt: body.expiresAt }
  const current = flags.context ?? before?.name ?? new URL(addr).hostname
  await writeContexts(io, { current, contexts: { ...readContexts(io).contexts, [current]: context } })
  showSession(io, flags, body, current)
}

async function byPassword(io: Io, api: Api, { expires }: Flags, operator: string | undefined): Promise<Session> {
  if (operator === undefined) throw usageError('name the operator: purser login ada')
  return withPrompts(io, async (prompts) => {
    const password = await prompts.hidden(`password of ${operator}: `)
    const lifetime = expires === undefined ? {} : { lifetimeSeconds: expires }
    const call = async (more: { code?: string }): Promise<Session> =>
      (await api.call('POST', '/api/v1/sessions', { token: null, body: { operator, password, ...lifetime, ...more } }))
        .body
    return call({}).catch(async (error: unknown) => {
      if (!(error instanceof CliError) || error.code !== 'code_required') return withAdvice(error)
      const code = await prompts.hidden('code of the authenticator app, or a recovery code: ')
      return call({ code }).catch(withAdvice)
    })
  })
}

async function byProvider(io: Io, api: Api, { device, expires }: Flags, name: string | undefined): Promise<Session> {
  if (name !== undefined) throw usageError('the provider names the operator: leave the name out')
  const controller = new AbortController()
  io.onSignal(['SIGTERM', 'SIGINT'], () => controller.abort())
  const { logInAtProvider } = await import('./oidc/operator-login.ts')
  return logInAtProvider(io, api, {
    device: device === true,
    signal: controller.signal,
    ...(expires !== undefined && { lifetimeSeconds: expires }),
  })
}

function showSession(io: Io, flags: Flags, { token: _, ...session }: Session, context: string): void {
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
