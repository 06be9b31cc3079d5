/**
 * Everything that a log line may carry. A field that is not listed here can't be passed, and is dropped at run time
 * where a cast got it past the compiler: bodies, headers, tokens and claims have no name to be logged under.
 */
const fields = {
  requestId: 'string',
  /** Operation id of the route. */
  route: 'string',
  status: 'number',
  durationMs: 'number',
  /** A code of src/errors.ts. */
  code: 'string',
  /** Names and ids of our own things. */
  attestor: 'string',
  workload: 'string',
  session: 'string',
  operator: 'string',
  keyId: 'string',
  /** The path of a secret, of one that exists. */
  secret: 'string',
  rotation: 'string',
  job: 'string',
  /** The step of a start that failed. */
  step: 'string',
  migration: 'string',
  store: 'string',
  epoch: 'number',
  index: 'number',
  size: 'number',
  revision: 'number',
  count: 'number',
  seconds: 'number',
  worker: 'number',
  pid: 'number',
  signal: 'string',
  /** host:port of a listener of ours. */
  listen: 'string',
  /** Origin that an outbound call went to. */
  origin: 'string',
  fingerprint: 'string',
  version: 'string',
  /** A sentence of ours for people, as the warnings of the configuration. Never text of a request. */
  note: 'string',
} as const satisfies Record<string, 'string' | 'number'>

type Kinds = { string: string; number: number }

export type LogFields = { [K in keyof typeof fields]?: Kinds[(typeof fields)[K]] | undefined } & {
  /** What was thrown. Its class, code and place are logged; its message only where the class says that it is safe. */
  err?: unknown
}

/** The listed fields that have the right type; long strings are cut. */
export function loggedFields(given: LogFields): Record<string, string | number> {
  const kept: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(given)) {
    if (!isField(name) || typeof value !== fields[name]) continue
    if (typeof value === 'string') kept[name] = value.length > max ? `${value.slice(0, max)}…` : value
    else if (typeof value === 'number') kept[name] = value
  }
  return kept
}

const max = 512

const isField = (name: string): name is keyof typeof fields => Object.hasOwn(fields, name)
