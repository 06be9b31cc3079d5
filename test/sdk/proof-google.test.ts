/** Google Cloud, with a stand-in for its metadata server. */
import type { OutgoingHttpHeaders } from 'node:http'
import { describe, expect, test } from 'vitest'
import { httpServer } from '../outbound/tls-server.ts'
import { failing } from './failing.ts'
import { choose, purserAudience, read, someToken } from './machine.ts'

const flavor = { 'metadata-flavor': 'Google' }
const standIn = (status: number, headers: OutgoingHttpHeaders, body: string) =>
  httpServer((_, response) => response.writeHead(status, headers).end(body))
const at = (port: number) => choose({ GCE_METADATA_HOST: `127.0.0.1:${port}` })

describe('its metadata server', () => {
  test.each<[string, number, OutgoingHttpHeaders, string, RegExp]>([
    ['does not say that it is one', 200, {}, someToken, /without "Metadata-Flavor: Google"/],
    [
      'identifies itself as another',
      200,
      { 'metadata-flavor': 'google' },
      someToken,
      /without "Metadata-Flavor: Google"/,
    ],
    ['knows no service account', 404, flavor, 'not found', /attach one to this machine/],
    ['forbids it', 403, flavor, '', /answered 403 and no token/],
    ['redirects', 301, { ...flavor, location: 'http://127.0.0.1:1/' }, '', /redirects are not followed/],
    ['answers too much', 200, flavor, 'x'.repeat(70_000), /64 KiB/],
  ])('%s', async (_, status, headers, body, words) => {
    const { port } = await standIn(status, headers, body)
    const error = await failing(read(at(port)))
    expect(error.code).toBe('no_proof')
    expect(error.message).toMatch(words)
  })

  test.each(['169.254.169.254/evil', 'user@127.0.0.1', '127.0.0.1:1?', 'a b', 'http://127.0.0.1'])(
    'is not at %s',
    async (host) => {
      expect((await failing(read(choose({ GCE_METADATA_HOST: host })))).message).toContain('is no host')
    },
  )

  test('is not trusted at another host', async () => {
    const error = await failing(read(choose({ GCE_METADATA_HOST: 'metadata.example.org' })))
    expect(error.message).toContain('needs https')
  })

  test('issues a token for the first audience, with data of the machine', async () => {
    const { port, requests } = await standIn(200, flavor, someToken)
    expect(await read(at(port))).toBe(someToken)
    expect(requests).toHaveLength(1)
    expect(requests[0]).toMatchObject({ method: 'GET', headers: flavor })
    const { pathname, searchParams } = new URL(requests[0]?.url ?? '', 'http://metadata')
    expect(pathname).toBe('/computeMetadata/v1/instance/service-accounts/default/identity')
    expect(Object.fromEntries(searchParams)).toEqual({ audience: purserAudience, format: 'full' })
  })
})
