import { expect, test } from 'vitest'
import { createMetrics, renderTogether } from '../../src/telemetry/metrics.ts'

const words = {
  routes: ['issueCredentials', 'getBundle'],
  codes: ['no_workload', 'rate_limited'],
  attestorKinds: ['oidc'],
  credentials: ['x509', 'jwt'],
}

const series = (text: string): string[] =>
  text
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith('#'))
    .map((line) => line.replace(/ [^ ]+$/, ''))

const value = (text: string, name: string): number =>
  Number(
    text
      .split('\n')
      .find((line) => line.startsWith(`${name} `))
      ?.split(' ')[1],
  )

test('the number of series stays the same after a hundred thousand odd words', async () => {
  const metrics = createMetrics(words)
  const before = series(await metrics.render())
  for (let i = 0; i < 25_000; i++) {
    metrics.request({ route: `/x/${i}`, status: 100 + (i % 600), seconds: i / 1000 })
    metrics.attested(`kind-${i}`, 'refused')
    metrics.refused(`code-${i}`)
    metrics.issued(`what-${i}`)
  }
  for (const word of ['__proto__', 'constructor', 'other', '', '"} 1\n'])
    metrics.request({ route: word, status: NaN, seconds: 0 })
  const after = series(await metrics.render())
  expect(after).toEqual(before)
  expect(before.length).toBeLessThan(400)
})

test('events are counted under their name, and unknown ones under other', async () => {
  const metrics = createMetrics(words)
  metrics.request({ route: 'issueCredentials', status: 201, seconds: 0.003 })
  metrics.request({ route: 'nope', status: 404, seconds: 0.003 })
  metrics.attested('oidc', 'granted')
  metrics.issued('x509')
  metrics.refused('no_workload')
  metrics.rateLimited('attest')
  metrics.summarised(40)
  metrics.appended({ path: 'batch', entries: 3, seconds: 0.002 })
  metrics.appendFailed('transaction')
  metrics.fetched('timeout', 5)
  metrics.logHead({ epoch: 2, size: 77 })
  metrics.watchSnapshotAge(() => 1.5)
  const text = await metrics.render()
  expect(value(text, 'purser_http_requests_total{route="issueCredentials",status="2xx"}')).toBe(1)
  expect(value(text, 'purser_http_requests_total{route="other",status="4xx"}')).toBe(1)
  expect(value(text, 'purser_http_request_seconds_bucket{le="0.005",route="issueCredentials"}')).toBe(1)
  expect(value(text, 'purser_attestations_total{kind="oidc",outcome="granted"}')).toBe(1)
  expect(value(text, 'purser_issued_total{credential="x509"}')).toBe(1)
  expect(value(text, 'purser_refusals_total{code="no_workload"}')).toBe(1)
  expect(value(text, 'purser_rate_limited_total{limit="attest"}')).toBe(1)
  expect(value(text, 'purser_refusals_summarised_total')).toBe(40)
  expect(value(text, 'purser_log_append_entries_sum')).toBe(3)
  expect(value(text, 'purser_log_append_failures_total{path="transaction"}')).toBe(1)
  expect(value(text, 'purser_outbound_seconds_count{outcome="timeout"}')).toBe(1)
  expect(value(text, 'purser_log_size')).toBe(77)
  expect(value(text, 'purser_log_epoch')).toBe(2)
  expect(value(text, 'purser_snapshot_age_seconds')).toBe(1.5)
})

test('several processes yield one text: counts are added, gauges take the largest, over a JSON channel', async () => {
  const first = createMetrics(words)
  const second = createMetrics(words)
  first.issued('jwt')
  second.issued('jwt')
  first.request({ route: 'getBundle', status: 200, seconds: 0.001 })
  second.request({ route: 'getBundle', status: 200, seconds: 1 })
  first.logHead({ epoch: 1, size: 10 })
  second.logHead({ epoch: 1, size: 12 })
  const snapshots = [await first.snapshot(), await second.snapshot()]
  const text = await renderTogether(JSON.parse(JSON.stringify(snapshots)))
  expect(value(text, 'purser_issued_total{credential="jwt"}')).toBe(2)
  expect(value(text, 'purser_http_request_seconds_count{route="getBundle"}')).toBe(2)
  expect(value(text, 'purser_log_size')).toBe(12)
  expect(series(text).sort()).toEqual(series(await first.render()).sort())
})

test("Node's own metrics are optional, with their help text", async () => {
  const metrics = createMetrics(words, { process: true })
  expect(await metrics.render()).toContain('process_cpu_seconds_total')
  expect(metrics.contentType).toMatch(/^text\/plain; version=/)
})
