/** `fetch` for a server whose root only the test trusts. */
import { type Agent, request } from 'node:https'

/** A client certificate and its key, PEM. */
export type Client = { key: string; cert: string }

type Init = {
  method: string
  headers: Record<string, string>
  body?: string | Uint8Array
  ca: string
  client?: Client
  /** Keeps connections alive; without it each request has its own. */
  agent?: Agent
}

export function httpsFetch(url: string, { method, headers, body, ca, client, agent }: Init): Promise<Response> {
  return new Promise((resolve, reject) => {
    const outgoing = request(
      url,
      { method, headers, ca, agent: agent ?? false, ...(client && { key: client.key, cert: client.cert }) },
      (incoming) => {
        const chunks: Buffer[] = []
        incoming.on('data', (chunk: Buffer) => chunks.push(chunk))
        incoming.on('error', reject)
        incoming.on('end', () => {
          const pairs = Object.entries(incoming.headersDistinct).flatMap(([name, values = []]) =>
            values.map((value): [string, string] => [name, value]),
          )
          const status = incoming.statusCode ?? 0
          const content = status === 204 ? null : new Uint8Array(Buffer.concat(chunks))
          resolve(new Response(content, { status, headers: pairs }))
        })
      },
    )
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
