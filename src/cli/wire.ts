/** Requests over one verified connection, which is kept open for the next request. */
import { Agent, type IncomingMessage, request as startRequest } from 'node:http'
import type { Socket } from 'node:net'
import { type Connector, PurserError, createConnector } from '@purser/sdk/connection'
import { CliError, codeOf, exitCodes } from './io.ts'

const timeoutMs = 30_000

type HttpRequest = { method: string; path: string; headers: Record<string, string>; payload?: Buffer }

/** @param parts.env the variables by which the SDK verifies the server */
export function createWire(parts: { addr: string; env: Record<string, string | undefined> }) {
  let connector: Connector | undefined
  let open: Socket | undefined
  // The agent never connects by itself: it keeps the verified connection.
  const agent = new Agent({ keepAlive: true, maxSockets: 1 })
  agent.createConnection = () => open

  return {
    /** @throws CliError with exit code `unreachable`, or `usage` where the settings are wrong */
    send: async (request: HttpRequest): Promise<IncomingMessage> => {
      try {
        connector ??= await createConnector({ ...parts, timeoutMs })
        if (!open || open.destroyed) open = await connector.connect()
        return await roundTrip(request, new URL(connector.origin).host, agent)
      } catch (error) {
        throw toCliError(error)
      }
    },
    close: (): void => {
      open?.destroy()
      agent.destroy()
    },
  }
}

function roundTrip(
  { method, path, headers, payload }: HttpRequest,
  host: string,
  agent: Agent,
): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const outgoing = startRequest({ agent, method, path, headers: { host, ...headers } }, resolve)
    outgoing.setTimeout(timeoutMs, () =>
      outgoing.destroy(new CliError('the server did not answer within 30 seconds', exitCodes.unreachable)),
    )
    outgoing.once('error', reject)
    outgoing.end(payload)
  })
}

export const textOf = async (reply: IncomingMessage): Promise<string> => (await bytesOf(reply)).toString('utf8')

export async function bytesOf(reply: IncomingMessage, maxMib = 64): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  try {
    for await (const chunk of reply as AsyncIterable<Buffer>) {
      size += chunk.length
      if (size > maxMib * 2 ** 20) throw new CliError(`the reply is larger than ${maxMib} MiB`)
      chunks.push(chunk)
    }
  } catch (error) {
    throw toCliError(error)
  }
  return Buffer.concat(chunks)
}

/** An empty body (204) is an empty object; undefined is not JSON. */
export function jsonOf(text: string): unknown {
  try {
    return text === '' ? {} : JSON.parse(text)
  } catch {
    return undefined
  }
}

/** Errors of the SDK say what to do; a connection that broke later has only a code. */
function toCliError(error: unknown): Error {
  if (error instanceof CliError) return error
  if (error instanceof PurserError) {
    return new CliError(error.message, error.code === 'bad_options' ? exitCodes.usage : exitCodes.unreachable)
  }
  const code = codeOf(error) ?? 'unknown'
  return new CliError(
    `the connection broke (${code}): check whether the request was carried out`,
    exitCodes.unreachable,
  )
}
