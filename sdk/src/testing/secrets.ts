/** Secrets in memory: their versions, and the sessions that consume them. */
import { checkPath } from '../credentials/secret.ts'
import { PurserError } from '../errors.ts'
import { addListener } from '../events/listeners.ts'
import type { Fields } from '../json/fields.ts'
import type { SecretOption } from '../types/secrets.ts'
import type { WorkloadEntry } from './entries.ts'
import { Refusal, refuseItems } from './refusal.ts'
import type { Session } from './sessions.ts'

type Version = { version: number; data: Fields; createdAt: Date }
type StoredSecret = { versions: Version[]; isRemoved: boolean }
export type TestConsumer = { session: string; spiffeId: string; version: number; acknowledged: boolean }

/** `*` stands for one segment, a trailing `**` for one or more, as in grants. */
function covers(pattern: string, path: string): boolean {
  const expected = pattern.split('/')
  const segments = path.split('/')
  const isSubtree = expected.at(-1) === '**'
  if (isSubtree ? segments.length < expected.length : segments.length !== expected.length) return false
  return expected.every((name, n) => name === '*' || (name === '**' && isSubtree) || name === segments[n])
}

export const isGranted = ({ secretPaths }: Pick<WorkloadEntry, 'secretPaths'>, path: string): boolean =>
  secretPaths === undefined || secretPaths.some((pattern) => covers(pattern, path))

export function createSecretStore(now: () => Date) {
  const stored = new Map<string, StoredSecret>()
  const consumers = new Map<string, TestConsumer & { path: string }>()
  const listeners = new Set<(path: string) => void>()
  let revision = 1

  const consumerKey = (path: string, version: number, session: Session): string => `${path} ${version} ${session.id}`

  const live = (path: string): Version | undefined => {
    const secret = stored.get(path)
    return secret?.isRemoved === false ? secret.versions.at(-1) : undefined
  }

  function notify(path: string): void {
    revision++
    for (const listener of listeners) listener(path)
  }

  function find(path: string, version: number | undefined): Version | undefined {
    if (version === undefined) return live(path)
    return live(path) && stored.get(path)?.versions.find((candidate) => candidate.version === version)
  }

  return {
    live,
    id: (): string => `1.${revision}`,
    onChange: (listener: (path: string) => void) => addListener(listeners, listener),

    /** Writes the next version. @throws PurserError `bad_options` */
    set(path: string, data: Readonly<Record<string, unknown>>): number {
      checkPath(path)
      // A copy, as from JSON: the caller may change its own object later.
      const copy: Fields = JSON.parse(JSON.stringify(data))
      const { versions } = stored.get(path) ?? { versions: [] }
      const version = versions.length + 1
      stored.set(path, { versions: [...versions, { version, data: copy, createdAt: now() }], isRemoved: false })
      notify(path)
      return version
    },

    /** @throws PurserError `not_found` */
    remove(path: string): void {
      const secret = stored.get(path)
      if (!secret || secret.isRemoved) throw new PurserError('not_found', 'there is no such secret')
      secret.isRemoved = true
      notify(path)
    },

    /** All secrets, or a refusal that names the faulty options. @throws Refusal */
    read(options: readonly SecretOption[], entry: WorkloadEntry, session: Session) {
      const items = options.map((option) => {
        const { path, version, optional = false } = typeof option === 'string' ? { path: option } : option
        return { path, optional, isGranted: isGranted(entry, path), secret: find(path, version) }
      })
      const refuse = (code: 'not_granted' | 'not_found', detail: string, isFaulty: (item: Item) => boolean): void =>
        refuseItems(code, detail, '/secrets', items, (item) => !item.optional && isFaulty(item))
      type Item = (typeof items)[number]
      refuse('not_granted', 'is not granted to the caller', (item) => !item.isGranted)
      refuse('not_found', 'does not exist, or has no such version now', ({ secret }) => !secret)
      const secrets = items.flatMap(({ path, secret, ...item }) =>
        secret && item.isGranted ? [{ path, ...secret }] : [],
      )
      return {
        /** Called once no refusal can follow. */
        commit(): void {
          const { spiffeId } = entry
          for (const { path, version } of secrets) {
            const key = consumerKey(path, version, session)
            if (!consumers.has(key))
              consumers.set(key, { path, session: session.id, spiffeId, version, acknowledged: false })
          }
        },
        reply: secrets.map(({ path, version, data, createdAt }) => ({
          path,
          version,
          data,
          metadata: { createdAt: createdAt.toISOString() },
        })),
        issued: secrets.map(({ path, version }) => ({ path, version })),
      }
    },

    /** @throws Refusal `not_found` */
    ack(path: string, version: number, session: Session): void {
      const consumer = consumers.get(consumerKey(path, version, session))
      if (!consumer || consumer.acknowledged) throw new Refusal('not_found')
      consumer.acknowledged = true
    },

    consumers: (path: string): TestConsumer[] =>
      [...consumers.values()].filter((consumer) => consumer.path === path).map(({ path: _, ...rest }) => rest),
  }
}
