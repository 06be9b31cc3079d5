/** `purser database` and `purser lease` against a real server, and a real Postgres as the target. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { cli } from '../support/cli.ts'
import { createIssuer, registerLab } from '../support/issuer.ts'
import { createShop, definitionFor, shopEntry } from '../support/leases.ts'
import { type TestPurser, startPurser } from '../support/purser.ts'
import { type TargetServer, startTarget } from '../support/target.ts'

describe('databases and leases on the command line', () => {
  let target: TargetServer
  let purser: TestPurser
  const folder = mkdtempSync(join(tmpdir(), 'purser-cli-'))
  const file = (name: string, content: string): string => {
    writeFileSync(join(folder, name), content)
    return join(folder, name)
  }
  const run = (line: string, stdin?: string) =>
    cli(line.split(' '), {
      env: { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: purser.admin },
      ...(stdin !== undefined && { stdin }),
    })
  beforeAll(async () => {
    target = await startTarget()
    purser = await startPurser({ store: 'postgres', tls: true })
  })
  afterAll(async () => {
    await purser?.stop()
    await target.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  it('read the password from a file or stdin, and show it nowhere', async () => {
    const definition = definitionFor(target, { admin: { username: target.admin.username } })
    const path = file('orders.json', JSON.stringify(definition))
    expect(await run(`database create orders --file ${path}`)).toMatchObject({ code: 3 })
    expect(await run('database create orders --file - --password-file -', '{}')).toMatchObject({ code: 2 })
    const created = await run(`database create orders --file ${path} --password-file -`, `${target.admin.password}\n`)
    expect(created).toMatchObject({
      code: 0,
      err: '',
      out: expect.stringMatching(/^database orders created .* log 1\/\d+\n$/),
    })
    const password = file('password', target.admin.password)
    const replaced = await run(`database replace orders --file ${path} --password-file ${password}`)
    expect(replaced).toMatchObject({ code: 0, out: expect.stringContaining('revision 2') })
    const { out: yaml } = await run('database get orders')
    const applied = await run('database apply -f -', yaml)
    expect(applied).toMatchObject({ code: 0, out: expect.stringMatching(/^database orders +unchanged +revision 2\n$/) })
    const edited = yaml.replace(/^maxLifetimeSeconds: .*$/m, 'maxLifetimeSeconds: 1800')
    const changed = await run('database apply -f -', edited)
    expect(changed).toMatchObject({ code: 0, out: expect.stringMatching(/^database orders +replaced +revision 3\n$/) })
    for (const line of ['database get orders', 'database list', 'database list -o json']) {
      const { code, out } = await run(line)
      expect([line, code, out.includes('purser_admin'), out.includes(target.admin.password)]).toEqual([
        line,
        0,
        true,
        false,
      ])
    }
  })

  it('report faults, rotate the administrator, and end leases', async () => {
    const checked = await run('database check orders')
    expect(checked).toMatchObject({ code: 0, out: expect.stringContaining('ok') })
    expect(checked.out).toContain('the server is reached, without TLS and unverified, and takes the credential')
    expect(await run('database rotate-admin orders')).toMatchObject({
      code: 0,
      out: expect.stringContaining('new password'),
    })
    const issuer = await createIssuer()
    await registerLab(purser, issuer)
    await purser.asAdmin('POST', '/api/v1/workloads', shopEntry({ databases: ['orders'] }))
    const { role } = await createShop(purser, issuer).arrive()
    expect(await run('database delete orders')).toMatchObject({ code: 3, err: expect.stringContaining('in_use') })
    expect((await run('lease list --database orders --state active')).out).toContain(role.lease)
    expect(await run(`lease revoke ${role.lease} --reason test`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('revoked'),
    })
    expect((await run('lease list --state active')).out).not.toContain(role.lease)
    const searched = await run('audit search -n 5')
    expect(searched.out).toMatch(new RegExp(`lease\\.revoke +granted +admin +lease ${role.username} in orders`))
    expect((await run('audit search --action credentials.issue')).out).toContain(`lease ${role.lease} in orders`)
    const { role: issuedRole } = await createShop(purser, issuer).arrive()
    const spiffeId = 'spiffe://example.org/lab/shop/shop'
    const { out } = await run(`revoke --spiffe-id ${spiffeId} -o json`)
    const { id, leases } = JSON.parse(out) as { id: string; leases: object[] }
    expect(leases).toEqual([{ id: issuedRole.lease, database: 'orders', username: issuedRole.username }])
    await purser.runJobs()
    const repeat = await run(`revoke --spiffe-id ${spiffeId}`)
    expect(repeat.out).not.toContain(issuedRole.lease)
    expect((await run('revocation list')).out).not.toContain(id)
    expect((await run('lease list --database orders --state revoked')).out).toContain(issuedRole.lease)
    const entries = await purser.asAdmin(
      'GET',
      `/api/v1/audit/entries?leaseId=${issuedRole.lease}&action=revocation.create`,
    )
    expect(entries.body['items']).toMatchObject([{ entry: { revoked: { leases: [issuedRole.lease] } } }])
    await run(`revocation release ${/rev_[0-9a-f]+/.exec(repeat.out)?.[0] ?? ''} --reason test`)
    expect(await run(`lease revoke ls_${'0'.repeat(32)}`)).toMatchObject({ code: 3 })

    const { role: stuck } = await createShop(purser, issuer).arrive()
    await target.stopHard()
    expect((await run(`lease revoke ${stuck.lease}`)).out).toContain('is being revoked')
    expect(await run(`lease abandon ${stuck.lease}`)).toMatchObject({
      code: 3,
      err: expect.stringContaining('Purser-Reason'),
    })
    expect(await run(`lease abandon ${stuck.lease} --reason gone`)).toMatchObject({
      code: 0,
      out: expect.stringContaining('was not dropped'),
    })
    expect((await run('lease list --state abandoned')).out).toContain(stuck.lease)
  })
})
