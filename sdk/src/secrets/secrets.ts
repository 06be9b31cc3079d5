/** `purser.secrets`: what is held of secrets, whoever wants to be told of more, and what keeps the two together. */
import type { Bundles } from '../bundle/bundle-cache.ts'
import { unlessAborted } from '../time/deadline.ts'
import { PurserError } from '../errors.ts'
import type { Held } from '../renewal/held-credentials.ts'
import { holding } from '../time/keep-alive.ts'
import { type Acks, createAcks } from './ack.ts'
import { createReadNow, shownBy, type ReadParts } from './read.ts'
import { createRefetch } from './refetch.ts'
import { refusalOf } from '../connection/refusal.ts'
import type { Streams } from '../connection/transport.ts'
import { type SecretReply, checkPath, checkVersion, secretOf } from '../credentials/secret.ts'
import { createWatchStream } from './stream.ts'
import { type Watching, createWatching } from './subscription.ts'
import type { SecretOption, Secret, Secrets } from '../types/secrets.ts'

type Parts = ReadParts & {
  transport: Streams
  first: readonly SecretReply[]
  wanted: readonly SecretOption[]
  held: Pick<Held, 'newest'>
  bundles: Pick<Bundles, 'known' | 'reread'>
  /** Answers how to stop listening. */
  onRenewed: (hear: () => void) => unknown
  closing: AbortSignal
  random: () => number
  elapsed: () => number
}

/** Of all watches of a client. */
const maxWatched = 100
/** In memory without being watched. */
const maxKept = 1_000

type Kept = { secret: Secret; session: string }

export function createSecrets(parts: Parts): Secrets {
  const { transport, credential, held, bundles, closing, warn } = parts
  const memory = new Map<string, Kept>()
  const pinned = new Map<string, Kept>()
  const told = new Map<string, number>()
  const watchings = new Set<Watching>()
  const underWay = new Map<string, Promise<Secret>>()
  const read = createReadNow(parts)
  const acks: Acks = createAcks(parts)
  const session = (): string => held.newest().session.id

  const watchingOf = (path: string): Watching[] => [...watchings].filter(({ paths }) => paths.includes(path))
  const each = (paths: readonly string[], call: (one: Watching) => void): void => {
    for (const watching of watchings) if (watching.paths.some((path) => paths.includes(path))) call(watching)
  }

  function keep(all: Map<string, Kept>, key: string, kept: Kept): void {
    all.delete(key)
    all.set(key, kept)
    if (all.size <= maxKept) return
    const idle = [...all.keys()].find((name) => watchingOf(name).length === 0)
    if (idle !== undefined) all.delete(idle)
  }

  function take(reply: SecretReply, holder: string): Secret {
    const before = memory.get(reply.path)
    // From a replica that is behind.
    if (before && before.secret.version > reply.version) return before.secret
    const isNews = !before || before.secret.version < reply.version
    const secret = isNews ? secretOf(reply) : before.secret
    keep(memory, reply.path, { secret, session: holder })
    if (isNews) void deliver(secret)
    return secret
  }

  async function deliver(secret: Secret): Promise<void> {
    const watchers = watchingOf(secret.path)
    const outcomes = await Promise.all(watchers.map((watcher) => watcher.deliver(secret)))
    const all = outcomes.filter((outcome) => outcome !== 'nobody')
    if (!watchers.every(({ acknowledges }) => acknowledges)) return
    if (all.length > 0 && all.every((one) => one === 'done')) acks.inBackground(secret.path, secret.version)
  }

  function acknowledgeStart(path: string): void {
    const secret = memory.get(path)?.secret
    if (secret && watchingOf(path).every(({ acknowledges }) => acknowledges)) acks.startedWith(secret)
  }

  const isBehind = (path: string): boolean => {
    const kept = memory.get(path)
    return !kept || kept.secret.version < (told.get(path) ?? 0) || kept.session !== session()
  }
  const onFailed = (error: PurserError, paths: readonly string[]): void => each(paths, (one) => one.failed(error))
  const refetch = createRefetch({ ...parts, read, take, isBehind, onFailed })

  const stream = createWatchStream({
    ...parts,
    async open(paths, lastEventId, signal) {
      const { info } = await parts.server(signal)
      if (!info.features.includes('watch'))
        throw new PurserError('not_offered', `the server (version ${info.version}) has no watch: update it`)
      const path = `/api/v1/watch?${paths.map((path) => `path=${encodeURIComponent(path)}`).join('&')}`
      const event = lastEventId === undefined ? {} : { lastEventId }
      const answer = await transport.open({ path, maxBytes: 64 * 1024, ...shownBy(credential), ...event }, signal)
      if ('chunks' in answer) return answer.chunks
      throw refusalOf(answer, 'to watch secrets')
    },
    onTold({ path, version }) {
      if (version === undefined) {
        told.delete(path)
        refetch.forget(path)
        if (memory.delete(path)) each([path], (one) => one.removed(path))
        return
      }
      told.set(path, version)
      if (isBehind(path)) refetch.mark(path)
    },
    onBundle(sequence) {
      if (bundles.known() && bundles.known()?.sequence !== sequence) bundles.reread().catch(() => undefined)
    },
    onUp: () => watchings.forEach((watching) => watching.recovered()),
    onDown: onFailed,
  })

  /** Another session holds nothing yet, as far as Purser knows. */
  let known = session()
  parts.onRenewed(() => {
    if (session() === known) return
    known = session()
    if (watchings.size > 0) stream.restart()
  })

  function lookAgain(): void {
    const paths = new Set([...watchings].flatMap((watching) => watching.paths))
    for (const path of told.keys()) if (!paths.has(path)) told.delete(path)
    stream.set([...paths])
  }

  async function fetchOne(path: string, version: number | undefined): Promise<Secret> {
    const { secrets, session: holder } = await read([version === undefined ? path : { path, version }], closing)
    const [reply] = secrets
    if (!reply) throw new PurserError('bad_reply', 'the server answered without the secret')
    if (version === undefined) return take(reply, holder)
    const secret = secretOf(reply)
    keep(pinned, `${path} ${version}`, { secret, session: holder })
    return secret
  }

  function shared(path: string, version: number | undefined): Promise<Secret> {
    const key = `${path} ${version ?? ''}`
    const asked = underWay.get(key) ?? fetchOne(path, version).finally(() => underWay.delete(key))
    underWay.set(key, asked)
    return asked
  }

  const isPinned = (path: string): boolean =>
    parts.wanted.some((option) => typeof option !== 'string' && option.path === path && option.version !== undefined)
  for (const reply of parts.first) {
    const kept = { secret: secretOf(reply), session: session() }
    if (isPinned(reply.path)) keep(pinned, `${reply.path} ${reply.version}`, kept)
    else keep(memory, reply.path, kept)
  }

  return {
    async get(path, { version, fresh = false, signal } = {}) {
      if (closing.aborted) throw closing.reason
      checkPath(path)
      checkVersion(version)
      const live = memory.get(path)
      const kept = version === undefined || live?.secret.version === version ? live : pinned.get(`${path} ${version}`)
      if (kept && !fresh && kept.session === session()) return kept.secret
      return holding(() => unlessAborted(signal, () => shared(path, version)))
    },

    watch(given, listener, { signal, acknowledge = true } = {}) {
      if (closing.aborted) throw closing.reason
      const paths = checkPaths(given)
      const all = new Set([...paths, ...[...watchings].flatMap((watching) => watching.paths)])
      if (all.size > maxWatched)
        throw new PurserError('bad_options', `${maxWatched} secrets are the most that one client watches`)
      const close = (): void => watch.close()
      const watching = createWatching(paths, {
        warn,
        acknowledges: acknowledge,
        onClose() {
          watchings.delete(watching)
          signal?.removeEventListener('abort', close)
          lookAgain()
        },
      })
      const { watch } = watching
      if (listener) watch.on('change', listener)
      if (signal?.aborted) return watch
      signal?.addEventListener('abort', close, { once: true })
      watchings.add(watching)
      lookAgain()
      if (acknowledge) for (const path of paths) acknowledgeStart(path)
      // What is told already is told to no second stream.
      for (const path of paths) if (told.has(path) && isBehind(path)) refetch.mark(path)
      return watch
    },

    async ack(path, version, { signal } = {}) {
      if (closing.aborted) throw closing.reason
      const of = checkVersion(version)
      if (of === undefined) throw new PurserError('bad_options', 'ack needs the version that is in use')
      await holding(() => unlessAborted(signal, () => acks.once(checkPath(path), of, closing)))
    },
  }
}

function checkPaths(given: unknown): string[] {
  const all = Array.isArray(given) ? given : [given]
  if (all.length === 0) throw new PurserError('bad_options', 'watch needs the path of a secret')
  return [...new Set(all.map(checkPath))]
}
