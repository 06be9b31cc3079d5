/** Jobs of GitHub Actions and GitLab CI; the runner's token service is a stand-in over TLS. */
import { describe, expect, test } from 'vitest'
import { httpServer, httpsServer, rawTlsServer } from '../outbound/tls-server.ts'
import { failing } from './failing.ts'
import { choose, identities, purserAudience, read, someToken } from './machine.ts'

const bearer = 'THE-REQUEST-TOKEN'
const job = (port: number) =>
  choose({
    GITHUB_ACTIONS: 'true',
    ACTIONS_ID_TOKEN_REQUEST_URL: `https://127.0.0.1:${port}/run/1/idtoken?api-version=2.0`,
    ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer,
  })

describe('GitHub Actions', () => {
  test.each<[string, number, string, RegExp]>([
    ['forbids it', 403, '{}', /answered 403 and no token: add `permissions: id-token: write`/],
    ['fails', 500, 'oops', /answered 500/],
    ['answers a page', 200, '<html>', /without a token/],
    ['answers a list', 200, '["a"]', /without a token/],
    ['answers another thing', 200, '{"token":"x"}', /without a token/],
    ['answers no text', 200, '{"value":7}', /without a token/],
    ['answers an empty one', 200, '{"value":""}', /without a token/],
    ['redirects', 302, '', /answered 302; redirects are not followed/],
    ['answers too much', 200, JSON.stringify({ value: 'x'.repeat(70_000) }), /64 KiB/],
  ])('its service %s', async (_, status, body, words) => {
    const elsewhere = await httpServer((_request, response) => response.end(JSON.stringify({ value: someToken })))
    const { port } = await httpsServer(identities.good, (_request, response) =>
      response.writeHead(status, { location: `http://127.0.0.1:${elsewhere.port}/` }).end(body),
    )
    const error = await failing(read(job(port)))
    expect(error.code).toBe('no_proof')
    expect(error.message).toMatch(words)
    expect(error.message).not.toContain(bearer)
    expect(elsewhere.requests).toEqual([])
  })

  test('its service hangs: the abort signal ends it', async () => {
    const controller = new AbortController()
    const { port } = await rawTlsServer(identities.good, () => controller.abort(new Error('enough')))
    await expect(read(job(port), controller.signal)).rejects.toThrow('enough')
  })

  test('its service is not verified: the request token is not sent', async () => {
    const { port, requests } = await httpsServer(identities.otherCa, (_, response) => response.end())
    await failing(read(job(port)))
    expect(requests).toEqual([])
  })

  test.each(['http://127.0.0.1:1/', 'not a URL', 'file:///etc/passwd'])('%s is refused as its address', async (url) => {
    const source = choose({ ACTIONS_ID_TOKEN_REQUEST_URL: url, ACTIONS_ID_TOKEN_REQUEST_TOKEN: bearer })
    expect((await failing(read(source))).message).toContain('ACTIONS_ID_TOKEN_REQUEST_URL is no https URL')
  })

  test('the error hides a request token that no header can carry', async () => {
    const { port } = await httpsServer(identities.good, (_, response) => response.end())
    const source = choose({
      ACTIONS_ID_TOKEN_REQUEST_URL: `https://127.0.0.1:${port}/`,
      ACTIONS_ID_TOKEN_REQUEST_TOKEN: `${bearer}\r\nx: y`,
    })
    const error = await failing(read(source))
    expect(`${error.message} ${String(error.cause)}`).not.toContain(bearer)
  })

  test('a new token for the first audience on each use', async () => {
    let count = 0
    const { port, requests } = await httpsServer(identities.good, (_, response) =>
      response.end(JSON.stringify({ count: 1, value: `${someToken}${++count}` })),
    )
    const source = job(port)
    expect([await read(source), await read(source)]).toEqual([`${someToken}1`, `${someToken}2`])
    expect(requests[0]).toMatchObject({ method: 'GET', headers: { authorization: `Bearer ${bearer}` } })
    const { pathname, searchParams } = new URL(requests[0]?.url ?? '', 'https://runner')
    expect(pathname).toBe('/run/1/idtoken')
    expect([...searchParams]).toEqual([
      ['api-version', '2.0'],
      ['audience', purserAudience],
    ])
  })
})

test("GitLab CI: the token from the job's environment", async () => {
  expect(await read(choose({ GITLAB_CI: 'true', PURSER_ID_TOKEN: someToken }))).toBe(someToken)
})
