/** `purser.secrets`: the secrets in memory, the watches, and the stream that announces new versions. */
import type { BundleCache } from '../bundle/bundle-cache.ts'
import { refusalOf } from '../connection/refusal.ts'
import type { Streams } from '../connection/transport.ts'
import { type SecretReply, checkPath, checkVersion, secretOf } from '../credentials/secret.ts'
import { PurserError } from '../errors.ts'
import { unlessAborted } from '../time/deadline.ts'
import { keepAlive } from '../time/keep-alive.ts'
import type { Secret, SecretOption, Secrets } from '../types/secrets.ts'
import { createAcks } from './ack.ts'
import { type ReadParts, authenticate, createReadNow } from './read.ts'
import { createRefetch } from './refetch.ts'
import { createWatchStream } from './stream.ts'
import { type Subscription, createSubscription } from './subscription.ts'

type Parts = ReadParts & {
  transport: Streams
  /** The secrets of the first answer, and the options that requested them. */
  first: readonly SecretReply[]
  options: readonly SecretOption[]
  bundles: Pick<BundleCache, 'current' | 'reread'>
  onRenewed: (listener: () => void) => unknown
  closing: AbortSignal
  random: () => number
  elapsed: () => number
}

/** Of all watches of a client. */
const maxWatched = 100
/** Secrets in memory without a watch. */
const maxUnwatched = 1_000

/** A secret, and the session that read it. */
type CachedSecret = { secret: Secret; session: string }

export function createSecrets(parts: Parts): Secrets {
  const { transport, authentication, held, bundles, closing, warn } = parts
  /** Live versions, by path. */
  const live = new Map<string, CachedSecret>()
  /** Versions that were requested by number, by path and version. */
  const pinned = new Map<string, CachedSecret>()
  /** Live versions as the server announced them. */
  const announced = new Map<string, number>()
  const subscriptions = new Set<Subscription>()
  const pendingReads = new Map<string, Promise<Secret>>()
  const read = createReadNow(parts)
  const acks = createAcks(parts)
  const session = (): string => held.newest().session.id

  const subscriptionsTo = (...paths: readonly string[]): Subscription[] =>
    [...subscriptions].filter((subscription) => subscription.paths.some((path) => paths.includes(path)))

  function cache(secrets: Map<string, CachedSecret>, key: string, cached: CachedSecret): void {
    secrets.delete(key)
    secrets.set(key, cached)
    if (secrets.size <= maxUnwatched) return
    const unwatched = [...secrets.keys()].find((name) => subscriptionsTo(name).length === 0)
    if (unwatched !== undefined) secrets.delete(unwatched)
  }

  function store(reply: SecretReply, reader: string): Secret {
    const current = live.get(reply.path)
    // A replica that lags behind.
    if (current && current.secret.version > reply.version) return current.secret
    const isNew = !current || current.secret.version < reply.version
    const secret = isNew ? secretOf(reply) : current.secret
    cache(live, reply.path, { secret, session: reader })
    if (isNew) void deliver(secret)
    return secret
  }

  async function deliver(secret: Secret): Promise<void> {
    const watchers = subscriptionsTo(secret.path)
    const outcomes = await Promise.all(watchers.map((watcher) => watcher.deliver(secret)))
    const deliveries = outcomes.filter((outcome) => outcome !== 'none')
    if (!watchers.every(({ acknowledges }) => acknowledges)) return
    if (deliveries.length > 0 && deliveries.every((outcome) => outcome === 'done'))
      acks.sendInBackground(secret.path, secret.version)
  }

  function acknowledgeStart(path: string): void {
    const secret = live.get(path)?.secret
    if (secret && subscriptionsTo(path).every(({ acknowledges }) => acknowledges)) acks.sendAtStart(secret)
  }

  const isBehind = (path: string): boolean => {
    const current = live.get(path)
    return !current || current.secret.version < (announced.get(path) ?? 0) || current.session !== session()
  }
  const onFailed = (error: PurserError, paths: readonly string[]): void =>
    subscriptionsTo(...paths).forEach((subscription) => subscription.failed(error))
  const refetch = createRefetch({ ...parts, read, store, isBehind, onFailed })

  const stream = createWatchStream({
    ...parts,
    async open(paths, lastEventId, signal) {
      const { info } = await parts.server(signal)
      if (!info.features.includes('watch'))
        throw new PurserError('not_offered', `the server (version ${info.version}) has no watch: update it`)
      const query = paths.map((path) => `path=${encodeURIComponent(path)}`).join('&')
      const request = { path: `/api/v1/watch?${query}`, maxBytes: 64 * 1024, ...authenticate(authentication) }
      const answer = await transport.open({ ...request, ...(lastEventId !== undefined && { lastEventId }) }, signal)
      if ('chunks' in answer) return answer.chunks
      throw refusalOf(answer, 'to watch secrets')
    },
    onAnnouncement({ path, version }) {
      if (version === undefined) {
        announced.delete(path)
        refetch.forget(path)
        if (live.delete(path)) subscriptionsTo(path).forEach((subscription) => subscription.removed(path))
        return
      }
      announced.set(path, version)
      if (isBehind(path)) refetch.mark(path)
    },
    onBundle(sequence) {
      if (bundles.current() && bundles.current()?.sequence !== sequence) bundles.reread().catch(() => undefined)
    },
    onUp: () => subscriptions.forEach((subscription) => subscription.recovered()),
    onDown: onFailed,
  })

  /** As far as Purser knows, another session holds no secret yet. */
  let lastSession = session()
  parts.onRenewed(() => {
    if (session() === lastSession) return
    lastSession = session()
    if (subscriptions.size > 0) stream.restart()
  })

  function updateStream(): void {
    const paths = new Set([...subscriptions].flatMap((subscription) => subscription.paths))
    for (const path of announced.keys()) if (!paths.has(path)) announced.delete(path)
    stream.set([...paths])
  }

  async function fetchOne(path: string, version: number | undefined): Promise<Secret> {
    const { secrets, session: reader } = await read([version === undefined ? path : { path, version }], closing)
    const [reply] = secrets
    if (!reply) throw new PurserError('bad_reply', 'the server answered without the secret')
    if (version === undefined) return store(reply, reader)
    const secret = secretOf(reply)
    cache(pinned, `${path} ${version}`, { secret, session: reader })
    return secret
  }

  function sharedRead(path: string, version: number | undefined): Promise<Secret> {
    const key = `${path} ${version ?? ''}`
    const pending = pendingReads.get(key) ?? fetchOne(path, version).finally(() => pendingReads.delete(key))
    pendingReads.set(key, pending)
    return pending
  }

  const isPinned = (path: string): boolean =>
    parts.options.some((option) => typeof option !== 'string' && option.path === path && option.version !== undefined)
  for (const reply of parts.first) {
    const cached = { secret: secretOf(reply), session: session() }
    if (isPinned(reply.path)) cache(pinned, `${reply.path} ${reply.version}`, cached)
    else cache(live, reply.path, cached)
  }

  return {
    async get(path, { version, fresh = false, signal } = {}) {
      if (closing.aborted) throw closing.reason
      checkPath(path)
      checkVersion(version)
      const current = live.get(path)
      const isLive = version === undefined || current?.secret.version === version
      const cached = isLive ? current : pinned.get(`${path} ${version}`)
      if (cached && !fresh && cached.session === session()) return cached.secret
      return keepAlive(() => unlessAborted(signal, () => sharedRead(path, version)))
    },

    watch(pathOrPaths, listener, { signal, acknowledge = true } = {}) {
      if (closing.aborted) throw closing.reason
      const paths = checkPaths(pathOrPaths)
      const all = new Set([...paths, ...[...subscriptions].flatMap((subscription) => subscription.paths)])
      if (all.size > maxWatched)
        throw new PurserError('bad_options', `a client can watch at most ${maxWatched} secrets`)
      const close = (): void => watch.close()
      const subscription = createSubscription(paths, {
        warn,
        acknowledges: acknowledge,
        onClose() {
          subscriptions.delete(subscription)
          signal?.removeEventListener('abort', close)
          updateStream()
        },
      })
      const { watch } = subscription
      if (listener) watch.on('change', listener)
      if (signal?.aborted) return watch
      signal?.addEventListener('abort', close, { once: true })
      subscriptions.add(subscription)
      updateStream()
      if (acknowledge) for (const path of paths) acknowledgeStart(path)
      // If the stream was open already, it does not repeat its announcements.
      for (const path of paths) if (announced.has(path) && isBehind(path)) refetch.mark(path)
      return watch
    },

    async ack(path, version, { signal } = {}) {
      if (closing.aborted) throw closing.reason
      const checked = checkVersion(version)
      if (checked === undefined) throw new PurserError('bad_options', 'ack needs the version that is in use')
      await keepAlive(() => unlessAborted(signal, () => acks.send(checkPath(path), checked, closing)))
    },
  }
}

function checkPaths(value: unknown): string[] {
  const paths = Array.isArray(value) ? value : [value]
  if (paths.length === 0) throw new PurserError('bad_options', 'watch needs the path of a secret')
  return [...new Set(paths.map(checkPath))]
}
