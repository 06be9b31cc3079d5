/** What `fetch` does, for a server whose root only the test knows. */
import { request } from 'node:https'

type Init = { method: string; headers: Record<string, string>; body?: string | Uint8Array; ca: string }

export function httpsFetch(url: string, { method, headers, body, ca }: Init): Promise<Response> {
  return new Promise((resolve, reject) => {
    const outgoing = request(url, { method, headers, ca, agent: false }, (incoming) => {
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
    })
    outgoing.on('error', reject)
    outgoing.end(body)
  })
}
