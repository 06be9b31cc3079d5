/** The command's client of the native API: one verified TLS connection, JSON both ways, refusals as errors. */
import type { IncomingMessage } from 'node:http'
import { setTimeout as pause } from 'node:timers/promises'
import { version } from '../version.ts'
import type { AnyRequest, ItemOf, Method, PathOf, ReplyOf, RequestArgument, Schemas } from './api-types.ts'
import { approvalRequested } from './approval-requested.ts'
import { currentContext } from './contexts.ts'
import { CliError, type Io, usageError } from './io.ts'
import { type Problem, refusalOf } from './problem.ts'
import { setting } from './settings.ts'
import { createWire, jsonOf, textOf } from './wire.ts'

/** `approval`: sent with every request of the command; the server reads it where it requires one. */
export type ServerFlags = { addr?: string; caFile?: string; caSha256?: string; approval?: string }

export type ApiReply<T> = {
  /** The index of the entry that the log has of this request. */
  logIndex: string | undefined
  /** JSON; an empty object where the reply has no body. */
  body: T
}

export type Api = {
  /** The address of the server, without a slash at the end. */
  url: string
  /** @throws CliError with exit code `refused`, `unreachable` or `failed` */
  call<M extends Method, P extends PathOf<M>>(
    method: M,
    path: P,
    ...request: RequestArgument<M, P>
  ): Promise<ApiReply<ReplyOf<M, P>>>
  /** The same for a reply that is read as a stream. */
  open<P extends PathOf<'GET'>>(path: P, ...request: RequestArgument<'GET', P>): Promise<IncomingMessage>
  /** Every item of a list, page by page: memory holds one page. */
  items<P extends PathOf<'GET'>>(path: P, ...request: RequestArgument<'GET', P>): AsyncGenerator<ItemOf<P>>
  /** The same as one array. */
  all<P extends PathOf<'GET'>>(path: P, ...request: RequestArgument<'GET', P>): Promise<ItemOf<P>[]>
  close(): void
}

export const defaultAddr = 'https://127.0.0.1:8443'

/** Many requests in a row reach the limit of one address, which asks to wait for a second or two. */
const maxWaitSeconds = 5
const maxTries = 10

/** Nothing is sent before the first call, and nothing on a connection that is not verified. */
export function createApi(io: Pick<Io, 'env' | 'readFile'>, flags: ServerFlags = {}): Api {
  const address = setting(io, 'PURSER_ADDR', flags.addr)
  const context = currentContext(io, address)
  const addr = address ?? context?.addr ?? defaultAddr
  const trust = trustOf(io, flags, context)
  const wire = createWire({ addr, env: trust })
  let attested: Promise<string> | undefined

  /** Attests once for all requests, in a job that has a proof. */
  async function attestedToken(): Promise<string> {
    // Loaded on demand, so that other verbs start faster.
    const job = await import('./attested.ts')
    if (!job.hasProof(io)) {
      throw usageError(
        'no API token: set PURSER_API_TOKEN (or PURSER_API_TOKEN_FILE), or run `purser login`; `purser bootstrap` creates the first one',
      )
    }
    return (attested ??= job.attestedToken({ ...io.env, PURSER_ADDR: addr, ...trust }))
  }

  async function bearer(override: AnyRequest['token']): Promise<Record<string, string>> {
    if (override === null) return {}
    const stored = override ?? setting(io, 'PURSER_API_TOKEN') ?? context?.token
    const token = stored ? stored : await attestedToken()
    if (!/^[!-~]+$/.test(token)) throw usageError('PURSER_API_TOKEN is not one token')
    return { authorization: `Bearer ${token}` }
  }

  /** Waits where the server limits the rate: nothing was done, so the request is sent again. */
  async function send(method: string, path: string, request: AnyRequest = {}): Promise<IncomingMessage> {
    for (let tries = 1; ; tries++) {
      const reply = await sendOnce(method, path, request)
      const status = reply.statusCode ?? 0
      if (status >= 200 && status < 300) return reply
      const text = await textOf(reply)
      const waitSeconds = Number(reply.headers['retry-after'])
      if (status !== 429 || tries >= maxTries || !(waitSeconds <= maxWaitSeconds)) {
        const problem = problemIn(text)
        if (problem.code === 'approval_required') await requestApproval(method, path, request)
        throw refusalOf(problem, status)
      }
      await pause(waitSeconds * 1000)
    }
  }

  /** @throws CliError that says how to go on; nothing where the command has an approval, or no reason to request one */
  async function requestApproval(method: string, path: string, request: AnyRequest): Promise<void> {
    const { ifMatch, reason, definition, body = definition, token } = request
    if (flags.approval !== undefined || reason === undefined) return
    const exact = {
      method,
      path: urlOf(path, request),
      ...(ifMatch !== undefined && { ifMatch: `"${ifMatch}"` }),
      ...(body !== undefined && { body }),
    }
    const wanted = { body: { request: exact, reason }, token }
    throw approvalRequested((await call<Schemas['Approval']>('POST', '/api/v1/approvals', wanted)).body)
  }

  async function sendOnce(method: string, path: string, request: AnyRequest): Promise<IncomingMessage> {
    const { ifMatch, reason, definition, body = definition } = request
    const payload = body === undefined ? undefined : Buffer.from(JSON.stringify(body))
    return wire.send({
      method,
      path: urlOf(path, request),
      headers: {
        accept: 'application/json, application/problem+json, */*',
        'user-agent': `purser-cli/${version}`,
        ...(payload && { 'content-type': 'application/json', 'content-length': String(payload.length) }),
        ...(await bearer(request.token)),
        ...(ifMatch !== undefined && { 'if-match': `"${ifMatch}"` }),
        ...(flags.approval !== undefined && { 'purser-approval': flags.approval }),
        // A header carries bytes: the reason is sent as UTF-8.
        ...(reason !== undefined && { 'purser-reason': Buffer.from(reason, 'utf8').toString('latin1') }),
      },
      ...(payload && { payload }),
    })
  }

  async function call<T>(method: string, path: string, request?: AnyRequest): Promise<ApiReply<T>> {
    const reply = await send(method, path, request)
    // The server is verified, so its reply is assumed to be what openapi.yaml says.
    const isDescribed = (value: unknown): value is T => isObject(value)
    const body = jsonOf(await textOf(reply))
    if (!isDescribed(body)) throw new CliError(`${addr} did not answer with JSON: check that it is a Purser server`)
    const index = reply.headers['purser-log-index']
    return { logIndex: index === undefined ? undefined : String(index), body }
  }

  async function* items<T>(path: string, { query, ...request }: AnyRequest = {}): AsyncGenerator<T> {
    let cursor: string | null = null
    do {
      const pageQuery: AnyRequest['query'] = { limit: 200, ...query, cursor: cursor ?? undefined }
      const page: { items: T[]; nextCursor?: string | null } = (
        await call<{ items: T[]; nextCursor?: string | null }>('GET', path, { ...request, query: pageQuery })
      ).body
      yield* page.items
      cursor = page.nextCursor ?? null
    } while (cursor !== null)
  }

  async function all<T>(path: string, request?: AnyRequest): Promise<T[]> {
    const list: T[] = []
    for await (const item of items<T>(path, request)) list.push(item)
    return list
  }

  return {
    url: addr,
    call: (method, path, ...[request]) => call(method, path, request),
    open: (path, ...[request]) => send('GET', path, request),
    items: (path, ...[request]) => items(path, request),
    all: (path, ...[request]) => all(path, request),
    close: () => wire.close(),
  }
}

/** Values in a path are encoded so that they cannot leave their segment; `{path}` alone has several segments. */
function urlOf(template: string, { path = {}, query = {} }: AnyRequest): string {
  const url = template.replaceAll(/\{(\w+)\}/g, (_, name: string) => {
    const value = String(path[name])
    return name === 'path' ? value.split('/').map(encodeURIComponent).join('/') : encodeURIComponent(value)
  })
  const search = new URLSearchParams()
  for (const [name, value] of Object.entries(query)) if (value !== undefined) search.set(name, String(value))
  return search.size === 0 ? url : `${url}?${search.toString()}`
}

/** The environment as the SDK reads it. A flag overrides both variables. */
function trustOf(
  io: Pick<Io, 'env' | 'readFile'>,
  { caFile, caSha256 }: ServerFlags,
  context: Pick<ServerFlags, 'caFile' | 'caSha256'> = {},
): Record<string, string | undefined> {
  if (caFile !== undefined || caSha256 !== undefined) return { PURSER_CA_FILE: caFile, PURSER_CA_SHA256: caSha256 }
  const trust = { PURSER_CA_FILE: setting(io, 'PURSER_CA_FILE'), PURSER_CA_SHA256: setting(io, 'PURSER_CA_SHA256') }
  if (trust.PURSER_CA_FILE !== undefined || trust.PURSER_CA_SHA256 !== undefined) return trust
  return { PURSER_CA_FILE: context.caFile, PURSER_CA_SHA256: context.caSha256 }
}

const isObject = (value: unknown): value is object => typeof value === 'object' && value !== null

function problemIn(text: string): Problem {
  const value = jsonOf(text)
  return isObject(value) ? value : {}
}

/** Runs `work` with a client, then closes its connection. */
export async function withApi<T>(
  io: Pick<Io, 'env' | 'readFile'>,
  flags: ServerFlags,
  work: (api: Api) => Promise<T>,
): Promise<T> {
  const api = createApi(io, flags)
  try {
    return await work(api)
  } finally {
    api.close()
  }
}

/** The reply, or undefined where the server has no such thing. */
export async function ifFound<T>(reply: Promise<ApiReply<T>>): Promise<T | undefined> {
  try {
    return (await reply).body
  } catch (error) {
    if (error instanceof CliError && error.code === 'not_found') return undefined
    throw error
  }
}
