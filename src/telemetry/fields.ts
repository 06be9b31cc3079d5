/**
 * The fields of a log line. The compiler refuses other fields, and at run time they are dropped: bodies, headers, tokens
 * and claims have no field.
 */
const fields = {
  requestId: 'string',
  /** Operation id of the route. */
  route: 'string',
  status: 'number',
  durationMs: 'number',
  /** A code of src/errors.ts. */
  code: 'string',
  /** Names and ids of Purser's resources. */
  attestor: 'string',
  workload: 'string',
  session: 'string',
  operator: 'string',
  keyId: 'string',
  /** The path of an existing secret. */
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
  /** host:port of a listener. */
  listen: 'string',
  /** Origin of an outbound call. */
  origin: 'string',
  fingerprint: 'string',
  version: 'string',
  /** A fixed text, such as a warning of the configuration. Never text of a request. */
  note: 'string',
} as const satisfies Record<string, 'string' | 'number'>

type Kinds = { string: string; number: number }

export type LogFields = { [K in keyof typeof fields]?: Kinds[(typeof fields)[K]] | undefined } & {
  /** An error. Its class, code and place are logged, and its message when the class declares it as safe. */
  err?: unknown
}

/** The listed fields with values of the right type. Cuts long strings. */
export function loggedFields(members: LogFields): Record<string, string | number> {
  const output: Record<string, string | number> = {}
  for (const [name, value] of Object.entries(members)) {
    if (!isField(name) || typeof value !== fields[name]) continue
    if (typeof value === 'string') output[name] = value.length > maxLength ? `${value.slice(0, maxLength)}…` : value
    else if (typeof value === 'number') output[name] = value
  }
  return output
}

const maxLength = 512

const isField = (name: string): name is keyof typeof fields => Object.hasOwn(fields, name)
