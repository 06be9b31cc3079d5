/** Signatures that AWS publishes: the example of its documentation and its Signature Version 4 test suite. */
import { expect, test } from 'vitest'
import { sign } from '../../sdk/src/proof/sigv4.ts'

const accessKeyId = 'AKIDEXAMPLE'
const secretAccessKey = 'wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY'
const now = new Date('2015-08-30T12:36:00.000Z')
const emptyRequest = { query: '', body: '' }
const host = 'example.amazonaws.com'

test.each([
  [
    'iam ListUsers, of the documentation',
    {
      ...emptyRequest,
      method: 'GET',
      query: 'Action=ListUsers&Version=2010-05-08',
      headers: { host: 'iam.amazonaws.com', 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' },
    },
    'iam',
    'content-type;host;x-amz-date',
    '5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7',
  ],
  [
    'get-vanilla',
    { ...emptyRequest, method: 'GET', headers: { host } },
    'service',
    'host;x-amz-date',
    '5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31',
  ],
  [
    'post-vanilla',
    { ...emptyRequest, method: 'POST', headers: { host } },
    'service',
    'host;x-amz-date',
    '5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b',
  ],
  [
    'post-x-www-form-urlencoded',
    {
      ...emptyRequest,
      method: 'POST',
      headers: { host, 'content-type': 'application/x-www-form-urlencoded' },
      body: 'Param1=value1',
    },
    'service',
    'content-type;host;x-amz-date',
    'ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a',
  ],
  [
    'get-header-value-trim',
    { ...emptyRequest, method: 'GET', headers: { host, 'my-header1': ' value1', 'my-header2': ' "a   b   c"' } },
    'service',
    'host;my-header1;my-header2;x-amz-date',
    'acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736',
  ],
] as const)('%s', (_, request, service, names, signature) => {
  const { authorization, ...headers } = sign(
    request,
    { accessKeyId, secretAccessKey },
    { region: 'us-east-1', service, now },
  )
  expect(authorization).toBe(
    `AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/${service}/aws4_request, SignedHeaders=${names}, Signature=${signature}`,
  )
  expect(headers).toEqual({ ...request.headers, 'x-amz-date': '20150830T123600Z' })
})

test('the token of a session is signed with the rest', () => {
  const request = { ...emptyRequest, method: 'POST', headers: { host } } as const
  const at = { region: 'us-east-1', service: 'sts', now }
  const [first, second] = ['one', 'two'].map((sessionToken) =>
    sign(request, { accessKeyId, secretAccessKey, sessionToken }, at),
  )
  expect(first?.['x-amz-security-token']).toBe('one')
  expect(first?.authorization).toContain('SignedHeaders=host;x-amz-date;x-amz-security-token,')
  expect(first?.authorization).not.toBe(second?.authorization)
})
