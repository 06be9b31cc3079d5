/** Operators as configuration: created, changed and pruned from files, never the one who applies, and never the last admin. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { account } from '../support/accounts.ts'
import { type CommandResult, cli } from '../support/cli.ts'
import { createAsk, readLog } from '../support/operator.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'

let purser: TestPurser
let folder: string

const run = (line: string, token = purser.admin): Promise<CommandResult> =>
  cli(line.replaceAll('DIR', folder).split(' '), {
    env: { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: token },
  })
const operator = (name: string, spec: object) => ({ kind: 'operator', name, spec })
const write = (...documents: object[]): void =>
  writeFileSync(join(folder, 'operators.yaml'), documents.map((document) => stringify(document)).join('---\n'))
const apply = (more = '') => run(`apply -f DIR --owner git:team --reason commit-1${more}`)
const show = async (name: string) => (await purser.asAdmin('GET', `/api/v1/operators/${name}`)).body

const namesOfOperators = async (): Promise<string[]> =>
  ((await purser.asAdmin('GET', '/api/v1/operators')).body['items'] as { name: string }[]).map(({ name }) => name)

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'purser-operators-'))
  purser = await startPurser({ tls: true })
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

it.each([
  ['without a bound', { role: 'operator' }, 'spec.bound'],
  ['with a password', { role: 'operator', bound: 'everything', password: 'x' }, 'password'],
  ['with a switch', { role: 'operator', bound: 'everything', disabled: true }, 'disabled'],
])('a file %s is refused', async (_, spec, named) => {
  write(operator('ada', spec))
  const { code, err } = await apply()
  expect(code).toBe(2)
  expect(err.replaceAll('/', '.')).toContain(named)
  expect(await namesOfOperators()).toEqual(['admin'])
})

it('are created with their bound and owner, and a second apply writes nothing', async () => {
  const bound = { namePrefix: 'shop-', secretPrefix: 'prod/shop/' }
  write(operator('ada', { role: 'operator', bound }), operator('ben', { role: 'auditor', bound: 'everything' }))
  expect(await apply()).toMatchObject({ code: 0, err: '' })
  expect(await show('ada')).toMatchObject({ role: 'operator', bound, managedBy: 'git:team', disabled: false })
  const entry = (await readLog(purser)).find(({ resource }) => resource?.name === 'ada')
  expect(entry).toMatchObject({ action: 'operator.create', change: { after: { managedBy: 'git:team' } } })
  expect((await apply()).out).toMatch(/0 created, 0 changed, 0 deleted, 2 unchanged/)
})

it('are changed, shown with the members that differ, and keep their switch', async () => {
  await purser.asAdmin('POST', '/api/v1/operators/ben:disable')
  write(operator('ben', { role: 'operator', bound: 'everything' }))
  const { out } = await run('plan -f DIR --owner git:team')
  expect(out).toMatch(/~ operator ben/)
  expect(out).toContain('~ /role: "auditor" → "operator"')
  expect(await apply()).toMatchObject({ code: 0 })
  expect(await show('ben')).toMatchObject({ role: 'operator', disabled: true, managedBy: 'git:team' })
})

it('are exported where they are named, and unchanged when that is planned', async () => {
  expect((await run('export')).out).not.toContain('kind: operator')
  const { out } = await run('export --kind operator --owner git:team')
  expect(out).toContain('kind: operator\nname: ada\nspec:\n  role: operator\n  bound:')
  expect(out).not.toContain('disabled')
  writeFileSync(join(folder, 'operators.yaml'), out)
  expect((await run('plan -f DIR --owner git:team')).out).toBe('0 to create, 0 to change, 0 to delete, 2 unchanged\n')
})

it('are pruned if their owner is that of the files, and others stay', async () => {
  await purser.asAdmin('POST', '/api/v1/operators', { name: 'by-hand', role: 'auditor' })
  write(operator('ada', { role: 'operator', bound: 'everything' }))
  expect((await apply(' --prune')).out).toMatch(/- operator ben deleted/)
  expect(await namesOfOperators()).toEqual(['ada', 'admin', 'by-hand'])
})

it('are left alone by files that declare none, which any role may plan', async () => {
  const { token } = await account(createAsk(purser), 'planner', 'operator')
  writeFileSync(join(folder, 'operators.yaml'), '# nothing\n')
  const plan = await run('plan -f DIR --owner git:team --prune --allow-empty', token)
  expect(plan).toMatchObject({ code: 0, out: '0 to create, 0 to change, 0 to delete, 0 unchanged\n' })
})

it('are not changed or deleted by themselves', async () => {
  const { token } = await account(createAsk(purser), 'eve', 'admin')
  write(operator('eve', { role: 'auditor', bound: 'everything' }))
  const refused = { code: 2, err: expect.stringContaining('operator eve is the one that you act as') }
  expect(await run('plan -f DIR --owner git:team', token)).toMatchObject(refused)
  expect(await run('apply -f DIR --owner git:team --reason x', token)).toMatchObject(refused)
  expect(await show('eve')).toMatchObject({ role: 'admin', revision: 1 })
})

it('are never the last admin', async () => {
  const { token } = await account(createAsk(purser), 'frank', 'operator')
  write(operator('admin', { role: 'auditor', bound: 'everything' }))
  expect((await run('apply -f DIR --owner git:team --reason x', token)).code).toBe(3)
  await purser.asAdmin('DELETE', '/api/v1/operators/eve', undefined, { 'if-match': '"1"' })
  expect(await show('admin')).toMatchObject({ role: 'admin' })
})

it('keep their owner when a person changes their role', async () => {
  expect(await run('operator replace ada --role auditor --reason x')).toMatchObject({ code: 0 })
  expect(await show('ada')).toMatchObject({ role: 'auditor', managedBy: 'git:team' })
})
