/** `purser contain`: takes back everything that a leaked workload, instance, attestor, API token or operator had. */
import { setTimeout as pause } from 'node:timers/promises'
import type { Command } from 'commander'
import type { Api } from './api.ts'
import type { Schemas } from './api-types.ts'
import { confirmName } from './confirm.ts'
import { formatContainment, subjectOf } from './containment.ts'
import { CliError, type Io, usageError } from './io.ts'
import { type Facts, facts, pointInTime } from './options.ts'
import { minute, remark, show, table } from './output.ts'
import { type VerbFlags, addList, addVerb } from './verb.ts'

type Containment = Schemas['Containment']
type Match = Schemas['ContainmentMatch']

const subjects = ['spiffeId', 'session', 'serialNumber', 'attestor', 'tokenId', 'operator'] as const

type Flags = VerbFlags & { [K in (typeof subjects)[number]]?: string } & {
  selector?: Facts
  since?: string
  rotate: boolean
  dryRun?: true
  yes?: true
  wait: boolean
}

/** How long the command waits while nothing changes. */
const patienceMs = 60_000
const everyMs = 500

export function addContain(program: Command, io: Io): void {
  const contain = addVerb(program, io, {
    usage: 'contain',
    summary: 'take back everything that a leaked workload, instance, attestor, API token or operator had',
    description:
      'Blocks the caller first. Then revokes what was issued to it, ends its sessions and leases, and rotates every secret that it read. Names what needs a person, and what stays accepted elsewhere, until when. The block lasts until `purser contain release`.',
    options: (command) =>
      command
        .option('--spiffe-id <id>', 'every instance with this SPIFFE ID')
        .option('--session <id>', 'the instance of a session, ses_…')
        .option('--serial-number <hex>', 'the instance of the session that got this certificate')
        .option('--attestor <name>', 'every instance of an attestor')
        .option('--selector <key=value>', 'with --attestor: only instances with this selector; may be repeated', facts)
        .option('--token-id <id>', 'an API token, tok_…')
        .option('--operator <name>', 'every API token of an operator')
        .option(
          '--since <time>',
          'only what was issued and read since, such as 1h or 2026-11-24T22:00:00Z',
          pointInTime,
        )
        .option('--no-rotate', 'rotate no secret; list them for a person')
        .option('--dry-run', 'show what would happen, and change nothing')
        .option('--yes', 'do not ask for confirmation')
        .option('--no-wait', 'return after the block, and leave the rest to the server'),
    reason: true,
    examples: [
      'purser contain --spiffe-id spiffe://example.org/prod-eu/ns/prod/sa/web --since 1h --dry-run --reason "incident 42"',
      'purser contain --attestor prod-eu --selector k8s:node=worker-7 --reason "incident 42" --yes',
      'purser contain --token-id tok_5bce29a0d4f1467e93a2c8d07b6e1f35 --reason "incident 42"',
    ],
    run: async (api, flags: Flags) => {
      const match = matchOf(flags)
      const { since, rotate, reason } = flags
      const body = { match, rotate, ...(since !== undefined && { since }) }
      const create = (dryRun: boolean) =>
        api.call('POST', '/api/v1/containments', { body: { ...body, dryRun }, reason })
      if (flags.dryRun) return showResult(io, flags, (await create(true)).body)
      if (!flags.yes) {
        remark(io, formatContainment((await create(true)).body).trimEnd())
        await confirmName(io, nameOf(match))
      }
      const { body: containment } = await create(false)
      showResult(io, flags, flags.wait ? await finished(api, io, containment) : containment)
    },
  })
  addList(contain, io, {
    summary: 'list containments, newest first',
    examples: ['purser contain list'],
    items: (api) => api.all('/api/v1/containments'),
    header: ['CONTAINMENT', 'SUBJECT', 'STATE', 'BY', 'CREATED', 'RELEASED'],
    row: ({ id, match, state, requestedBy, createdAt, releasedAt }) => [
      id,
      subjectOf(match),
      state,
      requestedBy,
      minute(createdAt),
      releasedAt === undefined ? '' : minute(releasedAt),
    ],
  })
  addVerb(contain, io, {
    usage: 'get',
    summary: 'show a containment, and how far it is',
    options: (command) => command.argument('<id>', 'the containment, con_…'),
    examples: ['purser contain get con_6f1f2a0b3c4d5e6f708192a3b4c5d6e7'],
    run: async (api, flags, id) =>
      showResult(io, flags, (await api.call('GET', '/api/v1/containments/{id}', { path: { id } })).body),
  })
  addVerb(contain, io, {
    usage: 'release',
    summary: 'release the block of a containment, so that the caller may attest again',
    options: (command) => command.argument('<id>', 'the containment, con_…'),
    reason: true,
    examples: ['purser contain release con_6f1f2a0b3c4d5e6f708192a3b4c5d6e7 --reason "the image was rebuilt"'],
    run: async (api, flags, id) => {
      const request = { path: { id }, reason: flags.reason }
      const { body, logIndex } = await api.call('POST', '/api/v1/containments/{id}:release', request)
      show(io, flags, body, () => table([[`released ${subjectOf(body.match)}`, `log ${logIndex}`]]))
    },
  })
}

function matchOf(flags: Flags): Match {
  const chosenSubjects = subjects.filter((subject) => flags[subject] !== undefined)
  const [subject] = chosenSubjects
  if (subject === undefined || chosenSubjects.length > 1)
    throw usageError('give exactly one option that says whom to contain; see `purser contain --help`')
  const { selector } = flags
  if (selector && subject !== 'attestor') throw usageError('--selector needs --attestor')
  const selectors = Object.entries(selector ?? {}).map(([key, value]): [string, string] => {
    if (typeof value !== 'string') throw usageError(`--selector ${key} can have one value`)
    return [key, value]
  })
  return { [subject]: flags[subject], ...(selector && { selectors: Object.fromEntries(selectors) }) }
}

/** What a person types to confirm. */
function nameOf(match: Match): string {
  for (const subject of subjects) {
    const name = match[subject]
    if (name !== undefined) return name
  }
  return ''
}

const showResult = (io: Io, flags: VerbFlags, containment: Containment): void =>
  show(io, flags, containment, formatContainment)

/** Waits until nothing is left, and says what it waits for. @throws CliError where nothing changes for long */
async function finished(api: Api, io: Io, containment: Containment): Promise<Containment> {
  const { id } = containment
  if (id === undefined) return containment
  let last = containment
  let progress = ''
  for (let elapsedMs = 0; last.state !== 'contained'; elapsedMs += everyMs) {
    const text = progressOf(last)
    if (text !== progress) {
      remark(io, text)
      progress = text
      elapsedMs = 0
    }
    if (elapsedMs > patienceMs) {
      const message = `${id} is not complete; the server continues, and \`purser contain get ${id}\` shows how far it is`
      throw new CliError(message)
    }
    await pause(everyMs)
    last = (await api.call('GET', '/api/v1/containments/{id}', { path: { id } })).body
  }
  return last
}

function progressOf({ id = '', state, revoked, rotating, leases }: Containment): string {
  if (state === 'revoking')
    return `${id}: blocked; ${revoked.certificates + revoked.jwts + revoked.accessTokens} credentials revoked so far`
  const open = rotating.filter((secret) => secret.state !== 'retired')
  const failing = open.flatMap(({ path, error }) => (error === undefined ? [] : [`${path} (${error})`]))
  const live = leases.filter((lease) => lease.state !== 'revoked' && lease.state !== 'abandoned')
  const failures = failing.length > 0 ? `; failing: ${failing.join(', ')}` : ''
  return `${id}: waits for ${open.length} rotations and ${live.length} leases${failures}`
}
