/** `npm run demo` from a checkout, on the Postgres of node_modules. */
import { spawnSync } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { expect, it } from 'vitest'

const root = fileURLToPath(new URL('../..', import.meta.url))

it('ends with 0, and shows each step within 80 columns and 65 lines', () => {
  const args = ['run', '-s', 'demo', '--', '--once']
  const { status, stdout, stderr } = spawnSync('npm', args, { cwd: root, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' })
  for (const line of [
    /STAND-IN/,
    /^ {2}ok {3}web +spiffe:\/\/demo\.purser\.local\/stand-in\/web +entry \d+$/m,
    /^ {2}ok {3}orders +spiffe:\/\/demo\.purser\.local\/stand-in\/orders +entry \d+$/m,
    /^ {2}ok {3}web -> orders +200 /m,
    /^ {2}ok {3}batch -> orders +403 /m,
    /^ {2}ok {3}nobody -> orders +no connection/m,
    /^ {2}ok {3}miner gets +attestation_failed, req_[0-9a-f]{32}$/m,
    /^ {2}ok {3}purser explain +no_workload/m,
    /credentials\.issue +no_workload +miner/,
    /^1 .* certificate, JWT and secret in one request$/m,
    /PLAYED BY THIS PROCESS/,
    /^ {2}ok {3}before +orders queries as shop_a, with version 1 of orders\/db$/m,
    /^ {2}ok {3}rotate +version 2, and version 1 retired, in [\d.]+ s$/m,
    /^ {2}ok {3}orders +uses shop_b now, not restarted; \d{3,} queries, 0 errors$/m,
    /^ {2}ok {3}shop_a +worked until orders had switched, and is refused now$/m,
    /^ {2}ok {3}receipts /m,
    /^ {2}ok {3}export +\d+ entries/m,
    /^ {2}ok {3}(\d+) edited +found at \1 /m,
    /^ {2}ok {3}(\d+) removed +found at \1 /m,
    /^ {2}ok {3}(\d+) and its hash +found at \1 /m,
    /^All \d+ checks passed, in [\d.]+ s\.$/m,
  ]) {
    expect(stdout).toMatch(line)
  }
  // The new version was fetched and acknowledged before the old one was retired.
  const at = '\\d\\d:\\d\\d:\\d\\d'
  const rows = [...stdout.matchAll(new RegExp(`^ {2}(\\d+) +${at} +(secret\\..*)$`, 'gm'))]
  expect(rows.map(([, , outcome = '']) => outcome.split(/ {2,}/))).toEqual([
    ['secret.rotate', 'intended', 'admin', 'version 2'],
    ['secret.rotate', 'completed', 'system', 'version 2'],
    ['secret.read', 'granted', 'orders', 'version 2'],
    ['secret.ack', 'granted', 'orders', 'version 2'],
    ['secret.retire', 'intended', 'system', 'version 1'],
    ['secret.retire', 'completed', 'system', 'version 1'],
  ])
  const indexes = rows.map(([, index]) => Number(index))
  expect(indexes).toEqual(indexes.toSorted((a, b) => a - b))
  expect(stdout).toMatch(new RegExp(`^ {2}orders +ses_\\w+ +2 +entry ${indexes[2]} +verified$`, 'm'))

  const lines = stdout.split('\n')
  expect(lines.filter((line) => line.length > 80)).toEqual([])
  expect(lines.length).toBeLessThanOrEqual(65)
  expect(stdout).not.toContain('\u001b')
  expect(stdout).not.toContain('FAIL')
})
