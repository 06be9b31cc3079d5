/**
 * Metrics for Prometheus. Every label has a closed set of values and every series exists from the start, so that no request
 * can add series. One observation costs about 0.25 µs.
 */
import { AggregatorRegistry, Counter, Gauge, Histogram, Registry, collectDefaultMetrics } from 'prom-client'

/** The possible values of labels. Any other value counts as `other`. */
export type MetricWords = {
  /** Operation ids of the route list. */
  routes: readonly string[]
  /** Codes of src/errors.ts. */
  codes: readonly string[]
  attestorKinds: readonly string[]
  /** Kinds of credentials: `x509`, `jwt` and so on. */
  credentials: readonly string[]
  /** Names of background jobs. */
  jobs?: readonly string[]
}

/** The metrics of one process as data, for the process that renders them. */
export type MetricSnapshot = Awaited<ReturnType<Registry['getMetricsAsJSON']>>

export type Metrics = ReturnType<typeof createMetrics>

const statuses = ['1xx', '2xx', '3xx', '4xx', '5xx']
const limits = ['attest', 'api', 'public', 'attestor'] as const
const fetches = ['ok', 'refused', 'timeout', 'failed'] as const
const attestations = ['granted', 'refused'] as const
const paths = ['batch', 'transaction'] as const
const runs = ['done', 'failed'] as const
const leaseStates = ['open', 'revoking', 'irrevocable'] as const
const rotationStates = ['pending', 'issued', 'waiting', 'held', 'overdue'] as const
const rotationSteps = ['secret.rotate', 'secret.retire', 'secret.rotation'] as const

const fast = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10]

function labelSet(words: readonly string[]): { words: readonly string[]; labelFor: (word: string) => string } {
  const set = new Set(words)
  return { words: [...set, 'other'], labelFor: (word) => (set.has(word) ? word : 'other') }
}

/** @param options.process include Node's metrics: CPU, memory, event loop delay, garbage collection */
export function createMetrics(words: MetricWords, options: { process?: boolean } = {}) {
  const registry = new Registry()
  const registers = [registry]
  if (options.process === true) collectDefaultMetrics({ register: registry })

  const counter = <L extends string>(name: string, help: string, labels: Record<L, readonly string[]>): Counter<L> => {
    const created = new Counter<L>({ name: `purser_${name}`, help, labelNames: keysOf(labels), registers })
    for (const values of combinations(labels)) created.inc(values, 0)
    return created
  }
  const histogram = <L extends string>(
    name: string,
    help: string,
    labels: Record<L, readonly string[]>,
    buckets: number[],
  ): Histogram<L> => {
    const created = new Histogram<L>({ name: `purser_${name}`, help, labelNames: keysOf(labels), buckets, registers })
    for (const values of combinations(labels)) created.zero(values)
    return created
  }
  /** Each worker has its own value. The largest is the newest. */
  const gauge = (name: string, help: string, collect?: (set: (value: number) => void) => void): Gauge =>
    new Gauge({
      name: `purser_${name}`,
      help,
      registers,
      aggregator: 'max',
      ...(collect && {
        collect() {
          collect((value) => this.set(value))
        },
      }),
    })

  const route = labelSet(words.routes)
  const code = labelSet(words.codes)
  const kind = labelSet(words.attestorKinds)
  const credential = labelSet(words.credentials)
  const job = labelSet(words.jobs ?? [])
  const rotationStep = labelSet(rotationSteps)

  const requests = counter('http_requests_total', 'Requests answered.', { route: route.words, status: statuses })
  const durations = histogram('http_request_seconds', 'From first byte to answer.', { route: route.words }, fast)
  const attested = counter('attestations_total', 'Proofs judged.', { kind: kind.words, outcome: attestations })
  const issued = counter('issued_total', 'Credentials handed out.', { credential: credential.words })
  const refused = counter('refusals_total', 'Refusals, by their true code.', { code: code.words })
  const limited = counter('rate_limited_total', 'Requests turned away by a limit.', { limit: limits })
  const summarised = counter('refusals_summarised_total', 'Refusals that share an audit entry.', {})
  const batchItems = histogram(
    'log_append_entries',
    'Entries in one append.',
    {},
    [1, 2, 4, 8, 16, 32, 64, 128, 256, 512],
  )
  const batchSeconds = histogram('log_append_seconds', 'From lock to durable.', { path: paths }, fast)
  const appendFailures = counter('log_append_failures_total', 'Appends that did not become durable.', { path: paths })
  const size = gauge('log_size', 'Entries in the log.')
  const epoch = gauge('log_epoch', "The log's epoch.")
  const headFailures = counter('log_head_failures_total', 'Times that the newest head could not be kept outside.', {})
  const leases = new Gauge<'state'>({
    name: 'purser_leases',
    help: 'Open leases, those whose roles are being taken away, and those of them where that was tried in vain too often.',
    labelNames: ['state'],
    registers,
    aggregator: 'max',
  })
  for (const state of leaseStates) leases.set({ state }, 0)
  const valuesLeft = gauge('keyring_values_left', 'Values that an older wrapping key still wraps.')
  const jobRuns = counter('job_runs_total', 'Runs of background jobs.', { job: job.words, outcome: runs })
  const rotating = new Gauge({
    name: 'purser_rotations',
    help: 'Rotations of secrets that have not ended; overdue are those whose schedule says that they should have begun.',
    labelNames: ['state'],
    registers,
    aggregator: 'max',
  })
  for (const state of rotationStates) rotating.set({ state }, 0)
  const rotationFailures = counter('rotation_attempt_failures_total', 'Attempts to set or end a value that failed.', {
    step: rotationStep.words,
  })
  const rotationAge = gauge('rotation_oldest_seconds', 'Since the oldest rotation that has not ended began.')
  const fetchSeconds = histogram(
    'outbound_seconds',
    'Calls to others.',
    { outcome: fetches },
    [0.005, 0.025, 0.1, 0.25, 0.5, 1, 2.5, 5, 10],
  )
  let snapshotAge = (): number => 0
  gauge('snapshot_age_seconds', 'Since this replica last confirmed its registrations.', (set) => set(snapshotAge()))

  return {
    /** @param done.seconds from the request's first byte to the end of its answer */
    request(done: { route: string; status: number; seconds: number }): void {
      const name = route.labelFor(done.route)
      requests.inc({ route: name, status: statuses[Math.trunc(done.status / 100) - 1] ?? '5xx' })
      durations.observe({ route: name }, done.seconds)
    },
    attested: (attestorKind: string, outcome: (typeof attestations)[number]): void =>
      attested.inc({ kind: kind.labelFor(attestorKind), outcome }),
    issued: (what: string, count = 1): void => issued.inc({ credential: credential.labelFor(what) }, count),
    refused: (what: string): void => refused.inc({ code: code.labelFor(what) }),
    rateLimited: (limit: (typeof limits)[number]): void => limited.inc({ limit }),
    summarised: (count: number): void => summarised.inc(count),
    appended(done: { path: (typeof paths)[number]; entries: number; seconds: number }): void {
      batchItems.observe(done.entries)
      batchSeconds.observe({ path: done.path }, done.seconds)
    },
    appendFailed: (path: (typeof paths)[number]): void => appendFailures.inc({ path }),
    logHead(head: { epoch: number; size: number }): void {
      epoch.set(head.epoch)
      size.set(head.size)
    },
    headFailed: (): void => headFailures.inc(),
    leases(counts: Record<(typeof leaseStates)[number], number>): void {
      for (const state of leaseStates) leases.set({ state }, counts[state])
    },
    fetched: (outcome: (typeof fetches)[number], seconds: number): void => fetchSeconds.observe({ outcome }, seconds),
    valuesLeft: (count: number): void => valuesLeft.set(count),
    jobRan: (name: string, outcome: (typeof runs)[number]): void => jobRuns.inc({ job: job.labelFor(name), outcome }),
    /** Sets the counts of running rotations in each state. */
    rotations(counts: readonly { state: string; count: number; oldest: Date }[], overdue: number, now: Date): void {
      for (const state of rotationStates) {
        rotating.set({ state }, counts.find((group) => group.state === state)?.count ?? 0)
      }
      rotating.set({ state: 'overdue' }, overdue)
      const oldest = Math.min(now.getTime(), ...counts.map((group) => group.oldest.getTime()))
      rotationAge.set((now.getTime() - oldest) / 1000)
    },
    rotationAttemptFailed: (step: string): void => rotationFailures.inc({ step: rotationStep.labelFor(step) }),
    /** `seconds` is called at each scrape. */
    watchSnapshotAge(seconds: () => number): void {
      snapshotAge = seconds
    },
    contentType: registry.contentType,
    render: (): Promise<string> => registry.metrics(),
    snapshot: (): Promise<MetricSnapshot> => registry.getMetricsAsJSON(),
  }
}

/** Renders the metrics of several processes as one text: adds counters, and takes the largest value of gauges. */
export function renderTogether(snapshots: readonly MetricSnapshot[]): Promise<string> {
  return AggregatorRegistry.aggregate([...snapshots]).metrics()
}

function keysOf<L extends string>(labels: Record<L, readonly string[]>): L[] {
  const isLabel = (key: string): key is L => Object.hasOwn(labels, key)
  return Object.keys(labels).filter(isLabel)
}

function combinations<L extends string>(labels: Record<L, readonly string[]>): Partial<Record<L, string>>[] {
  let rows: Partial<Record<L, string>>[] = [{}]
  for (const name of keysOf(labels)) {
    rows = rows.flatMap((row) => labels[name].map((value) => ({ ...row, [name]: value })))
  }
  return rows
}
