/** `purser doctor` on a server's host: settings, files and ports. Each fault is named first. */
import { chmodSync, mkdirSync, mkdtempSync, readdirSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { openForCheck } from '../../src/cli/doctor/open-database.ts'
import { judgeFreeSpace } from '../../src/cli/doctor/data-directory.ts'
import { generateRootKey } from '../../src/keys/root-key.ts'
import { makeIdentities } from '../outbound/tls-server.ts'
import { diagnose, findingsOf, folder, settings } from '../support/doctor.ts'
import { startPurser } from '../support/purser.ts'

const rootKeyOf = generateRootKey()

describe('the configuration', () => {
  it('is named fault by fault, and dependent checks are left out', async () => {
    const env = { ...settings(folder()), PURSER_TRUST_DOMAIN: 'Example Org', PURSER_WORKERS: '0' }
    const { code, first, out } = await diagnose(env)
    expect([code, first]).toEqual([1, expect.stringMatching(/^FAIL  configuration  PURSER_TRUST_DOMAIN: must be/)])
    expect(out).toMatch(/\nFAIL +configuration +PURSER_WORKERS: must be/)
    expect(out).toMatch(/\nskipped +all other checks/)
  })

  it('with an unknown name gets the right name', async () => {
    const { first } = await diagnose({ ...settings(folder()), PURSER_LISTN: '127.0.0.1:1' })
    expect(first).toBe('FAIL  configuration  PURSER_LISTN: is not a setting: did you mean PURSER_LISTEN?')
  })
})

describe('the root key', () => {
  const withKey = (path: string) => ({ ...settings(folder()), PURSER_ROOT_KEY_FILE: path, DATABASE_URL: nowhere })
  const nowhere = 'postgres://purser:hunter2@127.0.0.1:1/purser'

  it('missing', async () => {
    const path = join(folder(), 'root-key')
    const { first, out } = await diagnose(withKey(path))
    expect(first).toBe(`FAIL  root key  ${path} is missing`)
    expect(out).toContain('chmod 600')
  })

  it('missing beside an embedded store that needs it, which must not get another', async () => {
    const dataDir = folder()
    mkdirSync(join(dataDir, 'db', 'database'), { recursive: true, mode: 0o700 })
    writeFileSync(join(dataDir, 'db', 'database', 'PG_VERSION'), '17\n')
    expect((await diagnose(settings(dataDir))).first).toBe(`FAIL  root key  ${dataDir}/root-key is missing`)
  })

  it('that others can read', async () => {
    const path = join(folder(), 'root-key')
    writeFileSync(path, generateRootKey(), { mode: 0o644 })
    const { first, out } = await diagnose(withKey(path))
    expect(first).toBe(`FAIL  root key  ${path} has mode 0644: others can read or change it`)
    expect(out).toContain(`\n         do   chmod 600 ${path}\n`)
  })

  it('that is malformed', async () => {
    const path = join(folder(), 'root-key')
    writeFileSync(path, 'swordfish\n', { mode: 0o600 })
    const { first, out } = await diagnose(withKey(path))
    expect(first).toBe(`FAIL  root key  ${path} does not hold 32 bytes in base64`)
    expect(out).not.toContain('swordfish')
  })

  it('beside backups, or in a folder where others write, or in the environment', async () => {
    const dir = folder()
    const path = join(dir, 'root-key')
    writeFileSync(path, generateRootKey(), { mode: 0o600 })
    writeFileSync(join(dir, 'purser-2026-11-24.sql.gz'), '')
    chmodSync(dir, 0o777)
    const { out } = await diagnose(withKey(path))
    expect(out).toMatch(
      /warn +root key +it is stored beside what look like database backups: purser-2026-11-24\.sql\.gz\n/,
    )
    expect(out).toMatch(/FAIL +root key +others can write to \S+ \(mode 0777\)\n/)

    expect(out).toContain('the server refuses to start')
    chmodSync(dir, 0o2775)
    const group = await diagnose(withKey(path))
    expect(group.out).toMatch(/FAIL +root key +others can write to \S+ \(mode 2775\)\n/)
    expect(group.out).not.toContain('the server refuses to start')

    const env = { ...settings(folder()), PURSER_ROOT_KEY: generateRootKey() }
    const { code, out: stdout } = await diagnose(env)
    expect([code, stdout]).toEqual([0, expect.stringMatching(/note +root key +it is in the environment\n/)])
    expect(stdout).not.toContain(env.PURSER_ROOT_KEY)
  })
})

describe('the data directory', () => {
  it('that cannot be written', async () => {
    const { code, first } = await diagnose(settings('/proc/1'))
    expect([code, first]).toEqual([
      1,
      expect.stringMatching(/^FAIL  data directory  cannot write to \/proc\/1 \(E\w+\)$/),
    ])
  })

  it('that is a file, or cannot be created', async () => {
    const file = join(folder(), 'data')
    writeFileSync(file, '')
    expect((await diagnose(settings(file))).first).toBe(`FAIL  data directory  ${file} is not a directory`)
    const { first } = await diagnose(settings('/proc/none/purser-data'))
    expect(first).toBe('FAIL  data directory  /proc/none/purser-data is missing and cannot be created in /proc')
  })

  it('in which others may write, or read the bootstrap token', async () => {
    const dir = folder()
    writeFileSync(join(dir, 'bootstrap-token'), 'purser_boot_x\n')
    chmodSync(join(dir, 'bootstrap-token'), 0o644)
    expect((await diagnose(settings(dir))).first).toBe(
      `FAIL  data directory  ${dir}/bootstrap-token has mode 0644: others can access it`,
    )
    chmodSync(dir, 0o777)
    expect((await diagnose(settings(dir))).first).toBe(
      `FAIL  data directory  ${dir} has mode 0777: others can write to it`,
    )
  })

  it('on a full disk', () => {
    const [mib, gib] = [2 ** 20, 2 ** 30]
    expect(judgeFreeSpace(10 * mib, 100 * gib)).toMatchObject([{ level: 'fail', what: '10 MiB of 100.0 GiB are free' }])
    expect(judgeFreeSpace(200 * mib, 100 * gib)).toMatchObject([{ level: 'warn' }])
    expect(judgeFreeSpace(2 * gib, 100 * gib)).toEqual([])
  })
})

describe('the listener', () => {
  async function takenBy(answer: string): Promise<string> {
    const server = createServer((socket) =>
      socket
        .resume()
        .on('error', () => undefined)
        .end(answer),
    )
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
    onTestFinished(() => new Promise<void>((resolve) => void server.close(() => resolve())))
    return `127.0.0.1:${(server.address() as AddressInfo).port}`
  }

  it('whose port is in use by another program', async () => {
    const where = await takenBy('220 mail.example.org ESMTP\r\n')
    const { first, out } = await diagnose({ ...settings(folder()), PURSER_LISTEN: where })
    expect(first).toBe(`FAIL  listener  ${where} is in use by another program`)
    expect(out).toContain('ss -ltnp')
  })

  it('on an address of another host', async () => {
    const { first } = await diagnose({ ...settings(folder()), PURSER_LISTEN: '192.0.2.1:8443' })
    expect(first).toMatch(/^FAIL  listener  cannot listen on 192\.0\.2\.1:8443 \(E\w+\)$/)
  })

  it('where this Purser answers and is ready, and where a server of another trust domain answers', async () => {
    const purser = await startPurser({ store: 'embedded', tls: true })
    onTestFinished(() => purser.stop())
    const where = new URL(purser.url).host
    const env = { ...settings(purser.dataDir), PURSER_LISTEN: where, PURSER_ROOT_KEY: rootKeyOf }
    const { code, out, first } = await diagnose(env)
    expect([code, out]).toEqual([0, expect.stringMatching(/\nok +listener +Purser \S+ answers on \S+, and is ready\n/)])
    // Only the server may open the embedded store: checks of its contents are left out, by name.
    expect(first).toMatch(/^skipped  database  process \d+ has the embedded store open/)

    const other = { ...env, PURSER_DATA_DIR: folder(), PURSER_TRUST_DOMAIN: 'other.example' }
    expect((await diagnose(other)).first).toBe(
      `FAIL  listener  ${where} is in use by the Purser of example.org, not of other.example`,
    )
  })
})

describe('a certificate in files', () => {
  const identities = makeIdentities()

  function files(cert: string, key: string) {
    const dir = folder()
    const [certFile, keyFile] = [join(dir, 'tls.crt'), join(dir, 'tls.key')]
    writeFileSync(certFile, cert)
    writeFileSync(keyFile, key, { mode: 0o600 })
    return {
      certFile,
      keyFile,
      env: { ...settings(folder()), PURSER_TLS_CERT_FILE: certFile, PURSER_TLS_KEY_FILE: keyFile },
    }
  }

  it('that does not belong to its key', async () => {
    const { env, certFile, keyFile } = files(identities.good.cert, identities.otherName.key)
    expect((await diagnose(env)).first).toBe(`FAIL  certificate  ${keyFile} is not the key of ${certFile}`)
  })

  it('that is expired', async () => {
    const { env, certFile } = files(identities.expired.cert, identities.expired.key)
    expect((await diagnose(env)).first).toContain(`FAIL  certificate  ${certFile} expired `)
  })

  it('that is missing, or malformed', async () => {
    const { env, certFile } = files('no PEM', identities.good.key)
    expect((await diagnose(env)).first).toBe(`FAIL  certificate  ${certFile} holds no PEM certificate`)
    const envWithoutFile = { ...env, PURSER_TLS_CERT_FILE: '/nonexistent' }
    expect((await diagnose(envWithoutFile)).first).toBe('FAIL  certificate  cannot read /nonexistent (ENOENT)')
  })

  it('for other names than the public URL’s, or near its end: works with a warning', async () => {
    const { env, certFile, keyFile } = files(identities.otherName.cert, identities.otherName.key)
    chmodSync(keyFile, 0o644)
    const { code, first, out } = await diagnose(env)
    expect([code, first]).toEqual([0, `warn  certificate  ${certFile} expires in 1 days`])
    expect(out).toContain('is for DNS:elsewhere.test, not for purser.example.org, the host of the public URL')
    expect(out).toContain(`${keyFile} has mode 0644`)
    expect((await diagnose(env, '--strict')).code).toBe(1)
  })
})

describe('on the embedded store', () => {
  let dataDir: string
  beforeAll(async () => {
    dataDir = mkdtempSync(join(tmpdir(), 'purser-doctor-test-'))
    const purser = await startPurser({ existing: { rootKey: rootKeyOf, dataDir, admin: 'none' } })
    await purser.stop()
    writeFileSync(join(dataDir, 'root-key'), `${rootKeyOf}\n`, { mode: 0o600 })
  })
  afterAll(() => rmSync(dataDir, { recursive: true, force: true }))

  it('without a fault, for people and for programs, and nothing was changed', async () => {
    const before = statSync(join(dataDir, 'log-head')).mtimeMs
    const { code, out } = await diagnose(settings(dataDir))
    expect(out).not.toMatch(/^(?:FAIL|warn|skipped)/m)
    expect(code).toBe(0)
    const words = ['root key +decrypts the keyring', 'schema +up to date', 'keys +root-ca until', 'log +agrees with']
    for (const word of words) expect(out).toMatch(new RegExp(`\nok +${word}`))
    expect(statSync(join(dataDir, 'log-head')).mtimeMs).toBe(before)

    const findings = await findingsOf(settings(dataDir))
    expect(findings.length).toBeGreaterThan(8)
    for (const finding of findings) {
      const { level, check, what, ...advice } = finding
      expect(out).toMatch(new RegExp(`^${level} +${check}  `, 'm'))
      expect(what).not.toBe('')
      expect(Object.keys(advice).filter((key) => key !== 'why' && key !== 'do')).toEqual([])
    }
  })

  it('a root key of another database', async () => {
    const env = { ...settings(dataDir), PURSER_ROOT_KEY: generateRootKey() }
    expect((await diagnose(env)).first).toMatch(
      /^FAIL  root key  it belongs to another database: this is local-\w+, local-\w+ is needed$/,
    )
  })

  it('of another user is not opened, because this user would leave files in it', async () => {
    const opened = await openForCheck(
      { dataDir, database: { kind: 'embedded', migrate: 'auto', failover: 'unchecked' } },
      4242,
    )
    expect(opened).toMatchObject({ findings: [{ level: 'skipped', do: expect.stringContaining('sudo -u') }] })
  })

  it('before the first start has no finding, and creates nothing', async () => {
    const fresh = join(folder(), 'data')
    const { code, out } = await diagnose(settings(fresh))
    expect([code, out]).toEqual([0, expect.stringContaining('does not exist yet: the first start creates it')])
    expect(statSync(fresh, { throwIfNoEntry: false })).toBeUndefined()
    const dir = folder()
    await diagnose(settings(dir))
    expect(readdirSync(dir)).toEqual([])
  })
})

it('accepts --no-attest only with --as-workload', async () => {
  expect(await diagnose(settings(folder()), '--no-attest')).toMatchObject({ code: 2, out: '' })
})
