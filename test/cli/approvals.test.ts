/** `purser approval`, and commands that need a second operator, against a real server over TLS. */
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { account } from '../support/accounts.ts'
import { type CommandResult, cli } from '../support/cli.ts'
import { createIssuer } from '../support/issuer.ts'
import { createAsk, readLog } from '../support/operator.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'

let purser: TestPurser
let ada: string
let ben: string
const idIn = ({ err }: CommandResult): string => /apr_[0-9a-f]{32}/.exec(err)?.[0] ?? ''

beforeAll(async () => {
  purser = await startPurser({ tls: true, env: { PURSER_APPROVAL_ACTIONS: 'attestor.delete,secret.read' } })
  const ask = createAsk(purser)
  ada = (await account(ask, 'ada', 'admin')).token
  ben = (await account(ask, 'ben', 'admin')).token
  const { jwk } = await createIssuer()
  for (const name of ['lab', 'other'])
    await ask('createAttestor', {
      body: { name, kind: 'oidc', issuer: `https://${name}.example`, audience, keys: { jwks: { keys: [jwk] } } },
    })
  await ask('putSecret', { name: 'prod/db', body: { data: { password: 'hidden' } }, ifMatch: 0 })
})
afterAll(() => purser.stop())

const run = (argv: string[], token: string, typed?: string): Promise<CommandResult> =>
  cli(argv, {
    env: { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: token },
    ...(typed !== undefined && { stdin: typed, typed: true }),
  })
const remove = ['attestor', 'delete', 'lab', '--reason', 'the cluster is gone']

it('a command requests its approval, and runs with it once', async () => {
  const without = await run(['attestor', 'delete', 'lab'], ada)
  expect(without.code).toBe(3)
  expect(without.err).toContain('403 approval_required')
  expect(without.err).toContain('--reason')
  const refused = await run(remove, ada)
  const id = idIn(refused)
  expect(refused.code).toBe(3)
  expect(refused.err).toContain(`purser approval approve ${id}`)
  expect(refused.err).toContain(`--approval ${id}`)

  const early = await run([...remove, '--approval', id], ada)
  expect(early).toMatchObject({ code: 3, err: expect.stringContaining('is not approved yet') })
  expect((await run(['approval', 'list', '--state', 'pending'], ben)).out).toContain('DELETE /api/v1/attestors/lab')
  expect((await run(['approvals', 'ls', '-o', 'json'], ben)).out).toContain(id)
  expect((await run(['approval', 'get', id], ben)).out).toContain('ifMatch: \'"1"\'')

  const own = await run(['approval', 'approve', id, '--yes'], ada)
  expect(own).toMatchObject({ code: 3, err: expect.stringContaining('403 own_request') })
  const unconfirmed = await run(['approval', 'approve', id], ben)
  expect(unconfirmed).toMatchObject({ code: 2, err: expect.stringContaining('--yes') })
  const wrong = await run(['approval', 'approve', id], ben, 'yes\n')
  expect(wrong.code).toBe(2)
  const shown = await run(['approval', 'approve', id], ben, 'attestor.delete\n')
  expect(shown.code).toBe(0)
  for (const text of ['operator: ada', 'the cluster is gone', 'path: /api/v1/attestors/lab']) expect(shown.err).toContain(text) // prettier-ignore
  expect(shown.out).toContain(`${id} of ada approved`)

  const another = await run(['attestor', 'delete', 'other', '--approval', id, '--reason', 'x'], ada)
  expect(another).toMatchObject({ code: 3, err: expect.stringContaining('403 approval_mismatch') })
  const done = await run([...remove, '--approval', id], ada)
  expect(done).toMatchObject({ code: 0, out: expect.stringContaining('attestor lab deleted') })
  const entry = (await readLog(purser)).find(({ action }) => action === 'attestor.delete')
  expect(entry).toMatchObject({ outcome: 'refused' })
  expect((await readLog(purser)).some(({ approval }) => approval?.id === id && approval.approver === 'ben')).toBe(true)
})

it('reads a value, is denied, and is withdrawn', async () => {
  const read = ['secret', 'get', 'prod/db', '--field', 'password', '--reason', 'incident 42']
  const id = idIn(await run(read, ada))
  expect((await run(['approval', 'approve', id, '--yes'], ben)).code).toBe(0)
  expect(await run([...read, '--approval', id], ada)).toMatchObject({ code: 0, out: 'hidden' })

  const denied = idIn(await run(read, ada))
  expect((await run(['approval', 'deny', denied], ben)).err).toContain('Purser-Reason')
  expect((await run(['approval', 'deny', denied, '--reason', 'no incident'], ben)).out).toContain('denied')
  expect((await run([...read, '--approval', denied], ada)).err).toContain('ben denied it')
  const withdrawn = idIn(await run(read, ada))
  expect((await run(['approval', 'withdraw', withdrawn], ada)).out).toContain('withdrawn')
})
