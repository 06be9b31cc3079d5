/** AWS Signature Version 4 ("Create a signed AWS API request", IAM user guide), for requests whose path is `/`. */
import { createHash, createHmac } from 'node:crypto'

export type Credentials = { accessKeyId: string; secretAccessKey: string; sessionToken?: string }

type Unsigned = {
  method: 'GET' | 'POST'
  /** In canonical form: encoded by RFC 3986, and sorted. Empty for a POST. */
  query: string
  /** Names in lower case, including `host`. All are signed. */
  headers: Readonly<Record<string, string>>
  body: string
}

const sha256 = (text: string): string => createHash('sha256').update(text).digest('hex')
const hmac = (key: string | Buffer, text: string): Buffer => createHmac('sha256', key).update(text).digest()

/** @returns the headers of the signed request: those of the request, the time, the session's token and `authorization` */
export function sign(
  { method, query, headers, body }: Unsigned,
  { accessKeyId, secretAccessKey, sessionToken }: Credentials,
  { region, service, now }: { region: string; service: string; now: Date },
): Record<string, string> {
  const time = now.toISOString().replace(/[-:]|\.\d+/g, '')
  const all: Record<string, string> = {
    ...headers,
    'x-amz-date': time,
    ...(sessionToken !== undefined && { 'x-amz-security-token': sessionToken }),
  }
  const names = Object.keys(all).sort()
  const signedHeaders = names.join(';')
  const lines = names.map((name) => `${name}:${(all[name] ?? '').trim().replace(/ +/g, ' ')}\n`).join('')
  const canonical = [method, '/', query, lines, signedHeaders, sha256(body)].join('\n')

  const scope = [time.slice(0, 8), region, service, 'aws4_request']
  const key = scope.reduce<string | Buffer>((signingKey, part) => hmac(signingKey, part), `AWS4${secretAccessKey}`)
  const toSign = ['AWS4-HMAC-SHA256', time, scope.join('/'), sha256(canonical)].join('\n')
  const signature = hmac(key, toSign).toString('hex')
  const credential = `Credential=${accessKeyId}/${scope.join('/')}`
  return {
    ...all,
    authorization: `AWS4-HMAC-SHA256 ${credential}, SignedHeaders=${signedHeaders}, Signature=${signature}`,
  }
}
