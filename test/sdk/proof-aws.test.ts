/** AWS, with stand-ins for STS, the container credentials and EC2's metadata service. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import type { RequestListener } from 'node:http'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, describe, expect, test } from 'vitest'
import { sign } from '../../sdk/src/proof/sigv4.ts'
import { httpServer, httpsServer } from '../outbound/tls-server.ts'
import { failing } from './failing.ts'
import { choose, identities, purserAudience, read, someToken } from './machine.ts'

const dir = mkdtempSync(join(tmpdir(), 'purser-aws-'))
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const keys = { accessKeyId: 'ASIAEXAMPLE', secretAccessKey: 'SECRET-KEY', sessionToken: 'SESSION-TOKEN' }
const inEnvironment = {
  AWS_ACCESS_KEY_ID: keys.accessKeyId,
  AWS_SECRET_ACCESS_KEY: keys.secretAccessKey,
  AWS_SESSION_TOKEN: keys.sessionToken,
}
const asJson = JSON.stringify({
  AccessKeyId: keys.accessKeyId,
  SecretAccessKey: keys.secretAccessKey,
  Token: keys.sessionToken,
  Expiration: '2026-11-24T23:05:00Z',
})
const now = new Date('2026-11-24T23:05:00.000Z')
const region = 'eu-west-1'

const result = (inner: string): string => `<?xml version="1.0" encoding="UTF-8"?>
<GetWebIdentityTokenResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">
  <GetWebIdentityTokenResult>
    ${inner}
    <Expiration>2026-11-24T23:10:00.000Z</Expiration>
  </GetWebIdentityTokenResult>
  <ResponseMetadata>
    <RequestId>c9c99a1c-5763-4db3-87c4-0123456789ab</RequestId>
  </ResponseMetadata>
</GetWebIdentityTokenResponse>
`
const good = result(`<WebIdentityToken>${someToken}</WebIdentityToken>`)
const refusal = (code: string): string =>
  `<ErrorResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/"><Error><Type>Sender</Type><Code>${code}</Code><Message>x-amz-security-token:${keys.sessionToken}</Message></Error></ErrorResponse>`

async function startSts(status = 200, body = good) {
  const sts = await httpsServer(identities.good, (_, response) => response.writeHead(status).end(body))
  return {
    ...sts,
    host: `127.0.0.1:${sts.port}`,
    env: { AWS_ENDPOINT_URL_STS: `https://127.0.0.1:${sts.port}`, AWS_REGION: region },
  }
}
const at = (env: Record<string, string>) => choose(env, { now: () => now })

/** Signs the request again as it arrived: a differing header, body byte or key shows. */
async function isSigned(sts: Awaited<ReturnType<typeof startSts>>, signedFor = region): Promise<void> {
  expect(sts.requests).toHaveLength(1)
  const { method, url, body, headers } = sts.requests[0] ?? expect.fail('nothing arrived')
  expect([method, url]).toEqual(['POST', '/'])
  const sentHeaders = { host: sts.host, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' }
  const scope = { region: signedFor, service: 'sts', now }
  expect(headers).toMatchObject(sign({ method: 'POST', query: '', headers: sentHeaders, body }, keys, scope))
  expect(Object.fromEntries(new URLSearchParams(body))).toEqual({
    Action: 'GetWebIdentityToken',
    Version: '2011-06-15',
    SigningAlgorithm: 'RS256',
    'Audience.member.1': purserAudience,
  })
}

describe('STS', () => {
  test.each<[string, number, string, RegExp]>([
    ['forbids it', 403, refusal('AccessDenied'), /answered 403 AccessDenied: allow the role sts:GetWebIdentityToken/],
    ['does not do it in this account', 403, refusal('OutboundWebIdentityFederationDisabledException'),
      /OutboundWebIdentityFederationDisabledException: enable outbound web identity federation/],
    ['does not do it in this account, by its other name', 403, refusal('OutboundWebIdentityFederationDisabled'), /enable outbound/],
    ['rejects the signature', 403, refusal('SignatureDoesNotMatch'), /answered 403 SignatureDoesNotMatch\./],
    ['fails', 500, 'oops', /answered 500/],
    ['redirects', 307, '', /redirects are not followed/],
    ['answers too much', 200, good + ' '.repeat(70_000), /64 KiB/],
    ['answers JSON', 200, JSON.stringify({ WebIdentityToken: someToken }), /without a token/],
    ['answers nothing', 200, '', /without a token/],
    ['answers something else', 200, good.replaceAll('GetWebIdentityToken', 'AssumeRole'), /without a token/],
    ['answers in another namespace', 200, good.replace('sts.amazonaws.com', 'evil.example'), /without a token/],
    ['answers two tokens', 200, result(`<WebIdentityToken>a.b.c</WebIdentityToken><WebIdentityToken>${someToken}</WebIdentityToken>`), /without a token/],
    ['answers an entity', 200, `<!DOCTYPE x [<!ENTITY t "a.b.c">]>${result('<WebIdentityToken>&t;</WebIdentityToken>')}`, /without a token/],
    ['answers a token in a comment', 200, result(`<!-- <WebIdentityToken>${someToken}</WebIdentityToken> -->`), /without a token/],
    ['answers a token in CDATA', 200, result(`<WebIdentityToken><![CDATA[${someToken}]]></WebIdentityToken>`), /without a token/],
    ['breaks off', 200, good.slice(0, -40), /without a token/],
  ])('%s', async (_, status, body, words) => {
    const sts = await startSts(status, body)
    const error = await failing(read(at({ ...inEnvironment, ...sts.env })))
    expect(error.code).toBe('no_proof')
    expect(error.message).toMatch(words)
    for (const secret of [keys.secretAccessKey, keys.sessionToken]) expect(error.message).not.toContain(secret)
  }) // prettier-ignore

  test.each(['http://127.0.0.1:1', 'https://127.0.0.1:1/path', 'https://127.0.0.1:1/?x=1', 'sts'])(
    'gets no request at %s',
    async (url) => {
      const error = await failing(read(at({ ...inEnvironment, AWS_REGION: region, AWS_ENDPOINT_URL_STS: url })))
      expect(error.message).toContain('AWS_ENDPOINT_URL_STS is no https URL')
    },
  )

  test.each(['us-east-1.evil.example/', 'evil.example#', 'US-EAST-1', 'eu', '@evil-a-1'])(
    'lacks a region: %s',
    async (AWS_REGION) => {
      expect((await failing(read(at({ ...inEnvironment, AWS_REGION })))).message).toContain("no region's name")
    },
  )

  test('without a region: the error says what to set', async () => {
    expect((await failing(read(at(inEnvironment)))).message).toContain('set AWS_REGION')
  })

  test('is called at the region of the environment, over https', async () => {
    const urls: URL[] = []
    const get = (question: { url: URL }) => {
      urls.push(question.url)
      return Promise.resolve({ status: 200, headers: {}, text: good })
    }
    for (const name of ['AWS_REGION', 'AWS_DEFAULT_REGION']) {
      await read(choose({ ...inEnvironment, [name]: 'ap-southeast-2' }, { get }))
    }
    expect(urls.map(String)).toEqual(Array(2).fill('https://sts.ap-southeast-2.amazonaws.com/'))
  })
})

test('credentials of the environment (Lambda)', async () => {
  const sts = await startSts()
  const source = at({ ...inEnvironment, ...sts.env, AWS_LAMBDA_FUNCTION_NAME: 'f' })
  expect(await read(source)).toBe(someToken)
  await isSigned(sts)
})

describe('container credentials', () => {
  const container = (port: number, more = {}) => ({
    AWS_CONTAINER_CREDENTIALS_FULL_URI: `http://127.0.0.1:${port}/v1/credentials`,
    ...more,
  })

  test.each<[string, number, string, RegExp]>([
    ['forbids it', 403, '', /answered 403 and no credentials/],
    ['redirects', 302, '', /redirects are not followed/],
    ['answers a page', 200, '<html>', /without credentials/],
    ['answers an error', 200, JSON.stringify({ ...JSON.parse(asJson), Code: 'AccessDenied' }), /without credentials/],
    ['answers half', 200, JSON.stringify({ ...JSON.parse(asJson), Token: undefined }), /without credentials/],
    ['answers text that no header can carry', 200, JSON.stringify({ ...JSON.parse(asJson), Token: 'a\r\nb: c' }), /without credentials/],
  ])('its endpoint %s', async (_, status, body, words) => {
    const sts = await startSts()
    const { port } = await httpServer((_request, response) => response.writeHead(status).end(body))
    const error = await failing(read(at({ ...container(port), ...sts.env })))
    expect(error.message).toMatch(words)
    expect(sts.requests).toEqual([])
  }) // prettier-ignore

  test.each(['http://10.0.0.1/', 'http://evil.example/', 'http://169.254.170.2.nip.io/'])(
    'get no request at %s, and the token is not read',
    async (url) => {
      const env = {
        AWS_CONTAINER_CREDENTIALS_FULL_URI: url,
        AWS_CONTAINER_AUTHORIZATION_TOKEN: 'AUTHORIZATION',
        AWS_REGION: region,
      }
      const { message } = await failing(read(at(env)))
      expect(message).toContain('needs https')
      expect(message).not.toContain('AUTHORIZATION')
    },
  )

  test('of ECS have one address, whatever the path says', async () => {
    const hosts: string[] = []
    const get = (question: { url: URL }) => {
      hosts.push(question.url.host)
      return Promise.resolve({ status: 200, headers: {}, text: hosts.length % 2 ? asJson : good })
    }
    for (const path of ['/v2/credentials/1', '@evil.example/', '.evil.example', '//evil.example/']) {
      await read(choose({ AWS_CONTAINER_CREDENTIALS_RELATIVE_URI: path, AWS_REGION: region }, { get }))
    }
    expect(hosts.filter((host) => !host.startsWith('sts.'))).toEqual(Array(4).fill('169.254.170.2'))
  })

  test('by a token in the environment, or in a file that is read again (EKS Pod Identity)', async () => {
    const { port, requests } = await httpServer((_, response) => response.end(asJson))
    const file = join(dir, 'eks-token')
    const ways = [
      { AWS_CONTAINER_AUTHORIZATION_TOKEN: 'of the environment' },
      { AWS_CONTAINER_AUTHORIZATION_TOKEN: 'of the environment', AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE: file },
      {},
    ]
    writeFileSync(file, 'of the file\n')
    for (const way of ways) {
      const sts = await startSts()
      expect(await read(at({ ...container(port, way), ...sts.env }))).toBe(someToken)
      await isSigned(sts)
    }
    expect(requests.map(({ headers }) => headers.authorization)).toEqual([
      'of the environment',
      'of the file',
      undefined,
    ])
  })
})

describe('EC2', () => {
  const answers: Record<string, string> = {
    'PUT /latest/api/token': 'IMDS-TOKEN',
    'GET /latest/meta-data/iam/security-credentials/': 'web-role',
    'GET /latest/meta-data/iam/security-credentials/web-role': JSON.stringify({
      Code: 'Success',
      ...JSON.parse(asJson),
    }),
    'GET /latest/meta-data/placement/region': 'us-west-2',
  }
  /** Without its own token it answers 401, as version 2 does. */
  const imds =
    (changed: Record<string, string | number> = {}): RequestListener =>
    ({ method, url, headers }, response) => {
      const name = `${method ?? ''} ${url ?? ''}`
      const answer = { ...answers, ...changed }[name] ?? 404
      if (typeof answer === 'number') return void response.writeHead(answer, { location: '/' }).end()
      const header = headers[method === 'PUT' ? 'x-aws-ec2-metadata-token-ttl-seconds' : 'x-aws-ec2-metadata-token']
      response.writeHead(header === (method === 'PUT' ? '60' : 'IMDS-TOKEN') ? 200 : 401).end(answer)
    }
  const machine = (port: number) => ({ AWS_EC2_METADATA_SERVICE_ENDPOINT: `http://127.0.0.1:${port}` })

  test.each<[string, Record<string, string | number>, RegExp]>([
    ['gives no token of its own', { 'PUT /latest/api/token': 403 }, /answered 403 and no token of its own \(IMDSv2\)/],
    ['gives a token that fits in no header', { 'PUT /latest/api/token': 'a b' }, /no token of its own/],
    ['redirects', { 'PUT /latest/api/token': 302 }, /redirects are not followed/],
    ['knows no role', { 'GET /latest/meta-data/iam/security-credentials/': 404 }, /give this machine an instance profile/],
    ['names a path in place of a role', { 'GET /latest/meta-data/iam/security-credentials/': '../../user-data' }, /names no role/],
    ['gives no credentials', { 'GET /latest/meta-data/iam/security-credentials/web-role': '{"Code":"Failed"}' }, /without credentials of the role web-role/],
    ['knows no region', { 'GET /latest/meta-data/placement/region': 404 }, /no region: set AWS_REGION/],
    ['names a host in place of a region', { 'GET /latest/meta-data/placement/region': 'evil.example/' }, /no region's name/],
  ])('its metadata service %s', async (_, changed, words) => {
    const sts = await startSts()
    const { port } = await httpServer(imds(changed))
    const error = await failing(read(at({ ...machine(port), AWS_ENDPOINT_URL_STS: sts.env.AWS_ENDPOINT_URL_STS })))
    expect(error.message).toMatch(words)
    expect(sts.requests).toEqual([])
  }) // prettier-ignore

  test.each(['http://10.0.0.1', 'http://evil.example', 'nowhere'])('gets no request at %s', async (url) => {
    const env = { AWS_EC2_METADATA_SERVICE_ENDPOINT: url, AWS_REGION: region }
    expect((await failing(read(at(env)))).message).toMatch(/needs https|is no URL/)
  })

  test("the role's credentials and the machine's region", async () => {
    const sts = await startSts()
    const { port, requests } = await httpServer(imds())
    expect(await read(at({ ...machine(port), AWS_ENDPOINT_URL_STS: sts.env.AWS_ENDPOINT_URL_STS }))).toBe(someToken)
    await isSigned(sts, 'us-west-2')
    expect(new Set(requests.map(({ method, url }) => `${method} ${url}`))).toEqual(new Set(Object.keys(answers)))
  })

  test.each([
    [{}, '169.254.169.254'],
    [{ AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE: 'IPv6' }, '[fd00:ec2::254]'],
  ])('is at its well-known address (%j)', async (env, host) => {
    const hosts: string[] = []
    const get = (question: { url: URL }) => {
      hosts.push(question.url.host)
      return Promise.resolve({ status: 500, headers: {}, text: '' })
    }
    await failing(read(choose({ ...env, AWS_REGION: region }, { get, dmi: () => 'Amazon EC2' })))
    expect(hosts).toEqual([host])
  })
})
