import { createServer } from 'node:net'
import { gzipSync } from 'node:zlib'
import { afterAll, beforeAll, describe, expect, onTestFinished, test, vi } from 'vitest'
import { createOutbound } from '../../src/outbound/client.ts'
import type { FetchOptions, Outbound, Resolve } from '../../src/outbound/client.ts'
import { OutboundError } from '../../src/outbound/errors.ts'
import { httpServer, httpsServer, makeIdentities, rawTlsServer } from './tls-server.ts'
import type { Identities } from './tls-server.ts'

let ids: Identities
let outbound: Outbound
beforeAll(() => {
  ids = makeIdentities()
  outbound = createOutbound({ allow: [] })
})
afterAll(() => {
  outbound.close()
})

const urlOf = (port: number, path = '/'): string => `https://127.0.0.1:${String(port)}${path}`
const options = (more: Partial<FetchOptions> = {}): FetchOptions => ({ configured: true, caPem: ids.ca, ...more })

async function failure(fetching: Promise<unknown>): Promise<OutboundError> {
  try {
    await fetching
  } catch (error) {
    if (error instanceof OutboundError) return error
    throw error
  }
  throw new Error('it succeeded')
}

const failed = async (port: number, more: Partial<FetchOptions> = {}): Promise<OutboundError> =>
  failure(outbound.fetchBytes(urlOf(port), options(more)))

function withResolver(resolve: Resolve, allow: string[] = []): Outbound {
  const outbound = createOutbound({ allow, resolve })
  onTestFinished(() => {
    outbound.close()
  })
  return outbound
}

const answering =
  (...addresses: string[]): Resolve =>
  (_host, callback) => {
    setImmediate(() => {
      callback(null, addresses.map((address) => ({ address, family: address.includes(':') ? 6 : 4 }))) // prettier-ignore
    })
  }

describe('the request', () => {
  test('contains only what the caller passed', async () => {
    const proxy = await httpServer((_request, response) => response.end())
    for (const name of ['HTTPS_PROXY', 'https_proxy', 'HTTP_PROXY', 'http_proxy', 'ALL_PROXY', 'all_proxy']) vi.stubEnv(name, `http://127.0.0.1:${String(proxy.port)}`) // prettier-ignore
    onTestFinished(() => {
      vi.unstubAllEnvs()
    })
    const server = await httpsServer(ids.good, (_request, response) => {
      response.setHeader('set-cookie', 'a=b; Path=/').end('yes')
    })
    for (const path of ['/a?b=c', '/again']) {
      const reply = await outbound.fetchBytes(urlOf(server.port, path), options())
      expect([reply.status, reply.body.toString()]).toEqual([200, 'yes'])
    }
    const names = server.requests.map(({ rawHeaders }) => rawHeaders.filter((_, index) => index % 2 === 0).map((name) => name.toLowerCase()).toSorted()) // prettier-ignore
    expect(names).toEqual([0, 1].map(() => ['accept-encoding', 'connection', 'host', 'user-agent']))
    expect(server.requests.map(({ url }) => url)).toEqual(['/a?b=c', '/again'])
    expect(server.requests[0]?.headers['accept-encoding']).toBe('identity')
    expect(proxy.connections()).toBe(0)
  })

  test('has the body, method and headers of the caller', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.writeHead(201).end('{"ok":true}'))
    const reply = await outbound.fetchJson(
      urlOf(server.port),
      options({ method: 'POST', body: '{"é":1}', headers: { authorization: 'Bearer ours', 'Content-Type': 'application/json' } }), // prettier-ignore
    )
    expect([reply.status, reply.json]).toEqual([201, { ok: true }])
    expect(server.requests[0]).toMatchObject({ method: 'POST', body: '{"é":1}' })
    expect(server.requests[0]?.headers).toMatchObject({ authorization: 'Bearer ours', 'content-type': 'application/json', 'content-length': '8' }) // prettier-ignore
  })

  test.each(['Host', 'content-length', 'Transfer-Encoding', 'accept-encoding', 'connection'])('never contains the caller’s %s', async (name) => {
    const error = await failure(outbound.fetchBytes('https://127.0.0.1:9/', options({ headers: { [name]: 'x' } })))
    expect(error.code).toBe('bad_request')
  }) // prettier-ignore

  test.each(['Bearer hunter2\r\nHost: evil', 'Bearer hunter2\n', 'Bearer hunter2\u0000', 'hunter2\u0100'])('accepts no header with %j, and the error does not show it', async (value) => {
    const server = await httpsServer(ids.good, (_request, response) => response.end())
    const error = await failed(server.port, { headers: { authorization: value } })
    expect(error.code).toBe('bad_request')
    expect(`${error.message}${error.stack ?? ''}${JSON.stringify(error)}`).not.toContain('hunter2')
    expect(server.connections()).toBe(0)
  }) // prettier-ignore
})

describe('redirects', () => {
  test.each([300, 301, 302, 303, 304, 305, 307, 308, 399])('%i is an error, and no other host gets a request', async (status) => {
    const otherTls = await httpsServer(ids.good, (_request, response) => response.end())
    const otherPlain = await httpServer((_request, response) => response.end())
    for (const location of [urlOf(otherTls.port), `http://127.0.0.1:${String(otherPlain.port)}/`, `http://169.254.169.254/`, '/again']) {
      const server = await httpsServer(ids.good, (_request, response) => response.writeHead(status, { location }).end('moved'))
      const error = await failed(server.port, { headers: { authorization: 'Bearer hunter2' } })
      expect([error.code, error.status]).toEqual(['redirect', status])
      expect(error.message).toContain(String(status))
      expect(error.message).not.toContain('hunter2')
      expect(server.requests.length).toBe(1)
    }
    expect([otherTls.connections(), otherPlain.connections()]).toEqual([0, 0])
  }) // prettier-ignore
})

describe('large answers', () => {
  test('64 MiB are not read', async () => {
    const piece = Buffer.alloc(65_536, 'a')
    let writtenBytes = 0
    let closed: Promise<unknown> = Promise.resolve()
    const server = await httpsServer(ids.good, (_request, response) => {
      const more = (): void => {
        while (writtenBytes < 67_108_864 && !response.destroyed) {
          writtenBytes += piece.length
          if (!response.write(piece)) {
            response.once('drain', more)
            return
          }
        }
        response.end()
      }
      closed = new Promise<void>((resolve) => {
        response.on('close', resolve)
      })
      more()
    })
    expect((await failed(server.port)).code).toBe('too_large')
    await closed
    expect(writtenBytes).toBeLessThan(16_777_216)
  })

  test('nor is one byte of an answer whose Content-Length is too large', async () => {
    const server = await httpsServer(ids.good, (_request, response) => {
      response.writeHead(200, { 'content-length': '262145' }).flushHeaders()
    })
    expect((await failed(server.port)).code).toBe('too_large')
  })

  test('the limit itself passes, one byte more does not, with and without Content-Length', async () => {
    const server = await httpsServer(ids.good, (request, response) => {
      const body = Buffer.alloc(Number(request.headers['x-size']))
      if (request.url === '/with-length') response.setHeader('content-length', body.length)
      response.write(body.subarray(0, 500))
      response.end(body.subarray(500))
    })
    for (const path of ['/with-length', '/without-length']) {
      const size = (bytes: number) => options({ maxBytes: 1000, headers: { 'x-size': String(bytes) } })
      expect((await outbound.fetchBytes(urlOf(server.port, path), size(1000))).body.length).toBe(1000)
      expect((await failure(outbound.fetchBytes(urlOf(server.port, path), size(1001)))).code).toBe('too_large')
    }
  })

  test('headers without end', async () => {
    const server = await rawTlsServer(ids.good, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      for (let n = 0; n < 1000; n++) socket.write(`x-${String(n)}: ${'a'.repeat(100)}\r\n`)
    })
    expect((await failed(server.port)).code).toBe('too_large')
  })
})

describe('missing answers', () => {
  test('a port that accepts the connection and sends nothing', async () => {
    const silent = createServer(() => undefined)
    const server = await new Promise<number>((resolve) => {
      silent.listen(0, '127.0.0.1', () => {
        const address = silent.address()
        resolve(typeof address === 'object' ? (address?.port ?? 0) : 0)
      })
    })
    onTestFinished(() => void silent.close())
    expect((await failed(server, { timeoutMs: 150 })).code).toBe('timeout')
  })

  test.each<[string, string]>([
    ['nothing after the handshake', ''],
    ['a status line and no end', 'HTTP/1.1 200 OK\r\nx: y\r\n'],
    ['a header and no body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\n'],
    ['half a body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
    ['one chunk of many', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n'],
    ['an interim answer only', 'HTTP/1.1 100 Continue\r\n\r\n'],
  ])('%s', async (_what, text) => {
    const server = await rawTlsServer(ids.good, (socket) => void socket.write(text))
    expect((await failed(server.port, { timeoutMs: 150 })).code).toBe('timeout')
  })

  test('a slow body is cut off, and the connection closed', async () => {
    let closed: Promise<unknown> = Promise.resolve()
    const server = await httpsServer(ids.good, (_request, response) => {
      const drip = setInterval(() => response.write('a'), 20)
      closed = new Promise<void>((resolve) => {
        response.on('close', () => {
          clearInterval(drip)
          resolve()
        })
      })
    })
    expect((await failed(server.port, { timeoutMs: 200 })).code).toBe('timeout')
    await closed
  })

  test('a slow header', async () => {
    const server = await rawTlsServer(ids.good, (socket) => {
      socket.write('HTTP/1.1 200 OK\r\n')
      const drip = setInterval(() => socket.write('x-a: b\r\n'), 20)
      socket.on('close', () => {
        clearInterval(drip)
      })
    })
    expect((await failed(server.port, { timeoutMs: 200 })).code).toBe('timeout')
  })

  test('a hanging resolver', async () => {
    const slow = withResolver(() => undefined)
    expect((await failure(slow.fetchBytes('https://issuer.test/', options({ timeoutMs: 100 })))).code).toBe('timeout')
  })

  test('more requests than connections: the waiting ones have a timeout too', async () => {
    const server = await rawTlsServer(ids.good, () => undefined)
    const codes = await Promise.all(Array.from({ length: 70 }, async () => (await failed(server.port, { timeoutMs: 600 })).code)) // prettier-ignore
    expect(new Set(codes)).toEqual(new Set(['timeout']))
  })

  test('a caller that aborts, before and after', async () => {
    const server = await rawTlsServer(ids.good, () => undefined)
    expect((await failed(server.port, { signal: AbortSignal.abort() })).code).toBe('aborted')
    const controller = new AbortController()
    const pending = failed(server.port, { signal: controller.signal })
    controller.abort()
    expect((await pending).code).toBe('aborted')
  })
})

describe('wrong answers', () => {
  test.each([400, 401, 403, 404, 410, 429, 500, 503, 599])('status %i, whose body is discarded', async (status) => {
    const server = await httpsServer(ids.good, (_request, response) => response.writeHead(status, 'hunter2').end('hunter2'))
    const error = await failed(server.port)
    expect([error.code, error.status]).toEqual(['bad_status', status])
    expect(`${error.stack ?? ''}${JSON.stringify(error)}`).not.toContain('hunter2')
  }) // prettier-ignore

  test.each(['gzip', 'GZIP', 'deflate', 'br', 'zstd', 'gzip, identity', 'x'])('content-encoding %s', async (encoding) => {
    const server = await httpsServer(ids.good, (_request, response) => response.setHeader('content-encoding', encoding).end(gzipSync(Buffer.alloc(1_000_000)))) // prettier-ignore
    expect((await failed(server.port)).code).toBe('bad_body')
  }) // prettier-ignore

  test.each<[string, string, string[]]>([
    ['no HTTP', 'hunter2 hunter2 hunter2\r\n\r\n', ['bad_body']],
    ['bytes', '\u0000\u0001\u0002\r\n\r\n', ['bad_body']],
    ['HTTP/9.9', 'HTTP/9.9 200 OK\r\n\r\n', ['bad_body']],
    ['a status of letters', 'HTTP/1.1 abc OK\r\n\r\n', ['bad_body']],
    ['two lengths', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ncontent-length: 2\r\n\r\nab', ['bad_body']],
    ['a length and chunks', 'HTTP/1.1 200 OK\r\ncontent-length: 1\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n', ['bad_body']], // prettier-ignore
    ['a negative length', 'HTTP/1.1 200 OK\r\ncontent-length: -1\r\n\r\n', ['bad_body']],
    [
      'a chunk of letters',
      'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\nzz\r\na\r\n',
      ['bad_body', 'unreachable'],
    ],
    ['an upgrade', 'HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n', ['bad_status']], // prettier-ignore
  ])('%s', async (_what, text, codes) => {
    const server = await rawTlsServer(ids.good, (socket) => void socket.write(text))
    const error = await failed(server.port)
    expect(codes).toContain(error.code)
    expect(error.message).not.toContain('hunter2')
  })

  test.each<[string, string]>([
    ['at once', ''],
    ['inside the body', 'HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nhalf'],
    ['inside the chunks', 'HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n'],
  ])('a connection that ends %s', async (_what, text) => {
    const server = await rawTlsServer(ids.good, (socket) => void socket.end(text))
    expect((await failed(server.port)).code).toBe('unreachable')
  })

  test('a closed port', async () => {
    const server = await httpsServer(ids.good, () => undefined)
    const silent = createServer()
    await new Promise<void>((resolve) => void silent.listen(0, '127.0.0.1', resolve))
    const address = silent.address()
    await new Promise((resolve) => silent.close(resolve))
    expect((await failed(typeof address === 'object' ? (address?.port ?? 1) : 1)).code).toBe('unreachable')
    expect(server.connections()).toBe(0)
  })

  test('an invalid name', async () => {
    const outbound = withResolver((_host, callback) => {
      callback(Object.assign(new Error('getaddrinfo ENOTFOUND'), { code: 'ENOTFOUND' }), [])
    })
    const error = await failure(outbound.fetchBytes('https://issuer.test/', options()))
    expect([error.code, error.detail]).toEqual(['unreachable', 'no answer (ENOTFOUND)'])
  })

  test("an invalid name at the system's resolver, without an answer", async () => {
    const error = await failure(outbound.fetchBytes('https://issuer.invalid/', options()))
    expect(error.code).toBe('unreachable')
  })

  test.each(['', '<html>', '{"keys":[]', '{"keys":[],"keys":[1]}', '\ufeff{}', '[1e999]', `${'['.repeat(40)}${']'.repeat(40)}`, '{"__proto__":1}', 'hunter2'])(
    'malformed JSON: %j',
    async (body) => {
      const server = await httpsServer(ids.good, (_request, response) => response.end(body))
      const error = await failure(outbound.fetchJson(urlOf(server.port), options()))
      expect(error.code).toBe('bad_body')
      expect(error.message).not.toContain('hunter2')
    },
  ) // prettier-ignore

  test('foreign JSON may hold large integers and many members', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end(`{"n":12345678901234567890,"a":[${'0,'.repeat(4000)}0]}`)) // prettier-ignore
    expect((await outbound.fetchJson(urlOf(server.port), options())).json).toMatchObject({ n: 12345678901234567000 })
    expect((await failure(outbound.fetchJson(urlOf(server.port), { ...options(), json: { maxMembers: 10 } }))).code).toBe('bad_body') // prettier-ignore
  })
})

describe('certificates', () => {
  test.each<[keyof Identities, string]>([
    ['otherName', 'ERR_TLS_CERT_ALTNAME_INVALID'],
    ['otherCa', 'UNABLE_TO_VERIFY_LEAF_SIGNATURE'],
    ['expired', 'CERT_HAS_EXPIRED'],
    ['clientOnly', 'INVALID_PURPOSE'],
  ])('%s: %s', async (identityName, fault) => {
    const identity = ids[identityName]
    if (typeof identity === 'string') throw new Error('no identity')
    const server = await httpsServer(identity, (_request, response) => response.end())
    const error = await failed(server.port, { headers: { authorization: 'Bearer ours' } })
    expect([error.code, error.detail]).toEqual(['tls', `no verified TLS connection (${fault})`])
    expect(server.requests).toEqual([])
  })

  test("only the system's roots, or roots that are no PEM, verify no server here", async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end())
    expect((await failure(outbound.fetchBytes(urlOf(server.port), { configured: true }))).code).toBe('tls')
    for (const caPem of ['', 'garbage', '-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n'])
      expect(['tls', 'bad_request']).toContain((await failed(server.port, { caPem })).code)
    expect(server.requests).toEqual([])
  })

  test('the environment cannot switch verification off', async () => {
    vi.stubEnv('NODE_TLS_REJECT_UNAUTHORIZED', '0')
    onTestFinished(() => {
      vi.unstubAllEnvs()
    })
    const server = await httpsServer(ids.otherCa, (_request, response) => response.end())
    expect((await failed(server.port)).code).toBe('tls')
  })

  test('a plain HTTP port', async () => {
    const server = await httpServer((_request, response) => response.end())
    expect((await failed(server.port)).code).toBe('tls')
    expect(server.requests).toEqual([])
  })
})

describe('the address', () => {
  test('an unconfigured name that resolves to an internal address is refused before a byte is sent', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end())
    const url = `https://issuer.test:${String(server.port)}/`
    for (const address of ['127.0.0.1', '::1', '10.0.0.1', '169.254.169.254', '::ffff:127.0.0.1', '0.0.0.0', '100.64.0.1', 'fe80::1', 'fd00::1', '64:ff9b::7f00:1', 'not an address']) {
      const error = await failure(withResolver(answering(address)).fetchBytes(url, options({ configured: false })))
      expect(error.code).toBe('not_allowed')
    }
    const several = withResolver(answering('93.184.216.34', '127.0.0.1'))
    expect((await failure(several.fetchBytes(url, options({ configured: false })))).code).toBe('not_allowed')
    const outbound = withResolver(answering())
    expect((await failure(outbound.fetchBytes(url, options({ configured: false })))).code).toBe('not_allowed')
    expect(server.connections()).toBe(0)
  }) // prettier-ignore

  test('a configured name may be internal, but not link-local', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end('in'))
    const url = `https://issuer.test:${String(server.port)}/`
    expect((await withResolver(answering('127.0.0.1')).fetchBytes(url, options())).body.toString()).toBe('in')
    expect((await failure(withResolver(answering('169.254.169.254')).fetchBytes(url, options()))).code).toBe('not_allowed') // prettier-ignore
  })

  test('a listed address may be internal though it is not configured', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end('in'))
    const url = `https://issuer.test:${String(server.port)}/`
    for (const entry of ['issuer.test', url.slice(0, -1)]) {
      const outbound = withResolver(answering('127.0.0.1'), [entry])
      expect(outbound.allows(url)).toBe(true)
      expect((await outbound.fetchBytes(url, options({ configured: false }))).body.toString()).toBe('in')
    }
    const other = withResolver(answering('127.0.0.1'), ['https://issuer.test:1'])
    expect(other.allows(url)).toBe(false)
    expect((await failure(other.fetchBytes(url, options({ configured: false })))).code).toBe('not_allowed')
  })

  test('the checked address is the one that is connected, also when the next answer differs', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.setHeader('connection', 'close').end('in'))
    const hosts: string[] = []
    const rebinding = withResolver((host, callback) => {
      hosts.push(host)
      answering(hosts.length === 1 ? '127.0.0.1' : '169.254.169.254')(host, callback)
    })
    const url = `https://issuer.test:${String(server.port)}/`
    expect((await rebinding.fetchBytes(url, options())).body.toString()).toBe('in')
    expect(hosts).toEqual(['issuer.test'])
    expect((await failure(rebinding.fetchBytes(url, options()))).code).toBe('not_allowed')
    expect(server.connections()).toBe(1)
  }) // prettier-ignore

  test('localhost is internal', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end('in'))
    const url = `https://localhost:${String(server.port)}/`
    expect((await failure(outbound.fetchBytes(url, options({ configured: false })))).code).toBe('not_allowed')
    expect((await outbound.fetchBytes(url, options())).body.toString()).toBe('in')
  })

  test('plain http reaches a listed loopback origin, and nothing else', async () => {
    const server = await httpServer((_request, response) => response.end('in'))
    const origin = `http://127.0.0.1:${String(server.port)}`
    for (const configured of [true, false]) expect((await failure(outbound.fetchBytes(`${origin}/`, options({ configured })))).code).toBe('not_https') // prettier-ignore
    const listedOutbound = withResolver(answering('127.0.0.1'), [origin])
    expect((await listedOutbound.fetchBytes(`${origin}/a`, options({ configured: false }))).body.toString()).toBe('in')
    expect((await failure(listedOutbound.fetchBytes(`http://localhost:${String(server.port)}/`, options()))).code).toBe('not_https') // prettier-ignore
    expect(server.connections()).toBe(1)
  })

  test('a malformed list is an error at the start', () => {
    expect(() => createOutbound({ allow: ['issuer.test', '*.test'] })).toThrow(OutboundError)
  })
})

describe('kept-alive connections', () => {
  test('are reused', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end('in'))
    for (let n = 0; n < 5; n++) await outbound.fetchBytes(urlOf(server.port), options())
    expect([server.requests.length, server.connections()]).toEqual([5, 1])
  })

  test('are not shared with requests of other roots or a narrower reach', async () => {
    const server = await httpsServer(ids.good, (_request, response) => response.end('in'))
    const url = `https://issuer.test:${String(server.port)}/`
    const client = withResolver(answering('127.0.0.1'))
    await client.fetchBytes(url, options())
    expect((await failure(client.fetchBytes(url, options({ configured: false })))).code).toBe('not_allowed')
    expect((await failure(client.fetchBytes(url, { configured: true }))).code).toBe('tls')
    expect(server.requests.length).toBe(1)
  })

  test('are at most 64 per host, however many requests wait', async () => {
    const waiting: (() => void)[] = []
    const server = await httpsServer(ids.good, (_request, response) => {
      waiting.push(() => response.end('in'))
      if (server.requests.length >= 64) for (const answer of waiting.splice(0)) answer()
    })
    const replies = await Promise.all(
      Array.from({ length: 70 }, () => outbound.fetchBytes(urlOf(server.port), options())),
    )
    expect(replies.map(({ body }) => body.toString())).toEqual(replies.map(() => 'in'))
    expect(server.maxOpen()).toBe(64)
  })

  // The server closes each kept connection at its second request.
  const dropping = async () => {
    let requests = 0
    const server = await rawTlsServer(ids.good, (socket) => {
      let first = true
      socket.on('data', () => {
        requests++
        if (first) socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nin')
        else socket.destroy()
        first = false
      })
    })
    return { server, requests: () => requests }
  }

  test('that the peer closed do not fail a GET', async () => {
    const { server, requests } = await dropping()
    for (let n = 0; n < 3; n++) expect((await outbound.fetchBytes(urlOf(server.port), options())).body.toString()).toBe('in') // prettier-ignore
    expect(requests()).toBeGreaterThan(3)
  })

  test('a POST is never sent twice', async () => {
    const { server, requests } = await dropping()
    const post = options({ method: 'POST', body: 'x' })
    expect((await outbound.fetchBytes(urlOf(server.port), post)).body.toString()).toBe('in')
    expect((await failure(outbound.fetchBytes(urlOf(server.port), post))).code).toBe('unreachable')
    expect(requests()).toBe(2)
  })

  test('a retry is not retried', async () => {
    let connections = 0
    const server = await rawTlsServer(ids.good, (socket) => {
      const first = connections++ === 0
      let isAnswered = false
      socket.on('data', () => {
        if (!first || isAnswered) socket.destroy()
        else socket.write('HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nin')
        isAnswered = true
      })
    })
    await outbound.fetchBytes(urlOf(server.port), options())
    expect((await failed(server.port)).code).toBe('unreachable')
    expect(connections).toBe(2)
  })
})
