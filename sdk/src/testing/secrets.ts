/** Secrets in memory: versions, who was given them, and whoever is to be told of the next. */
import { PurserError } from '../errors.ts'
import type { Fields } from '../json/fields.ts'
import { checkPath } from '../credentials/secret.ts'
import type { WorkloadEntry } from './entries.ts'
import { Refusal } from './refusal.ts'
import type { Session } from './sessions.ts'
import type { SecretOption } from '../types/secrets.ts'

type Version = { version: number; data: Fields; createdAt: Date }
type Kept = { versions: Version[]; isThere: boolean }
export type TestConsumer = { session: string; spiffeId: string; version: number; acknowledged: boolean }

export type TestSecrets = ReturnType<typeof createSecretStore>

/** `*` stands for one segment, a trailing `**` for one or more, as in grants. */
function covers(pattern: string, path: string): boolean {
  const wanted = pattern.split('/')
  const given = path.split('/')
  const isSubtree = wanted.at(-1) === '**'
  if (isSubtree ? given.length < wanted.length : given.length !== wanted.length) return false
  return wanted.every((one, n) => one === '*' || (one === '**' && isSubtree) || one === given[n])
}

export const isGranted = ({ secretPaths }: Pick<WorkloadEntry, 'secretPaths'>, path: string): boolean =>
  secretPaths === undefined || secretPaths.some((pattern) => covers(pattern, path))

export function createSecretStore(now: () => Date) {
  const all = new Map<string, Kept>()
  const consumers: (TestConsumer & { path: string })[] = []
  const hearers = new Set<(path: string) => void>()
  let revision = 1

  const live = (path: string): Version | undefined => {
    const kept = all.get(path)
    return kept?.isThere ? kept.versions.at(-1) : undefined
  }

  function moved(path: string): void {
    revision++
    for (const hear of hearers) hear(path)
  }

  function find(path: string, version: number | undefined): Version | undefined {
    if (version === undefined) return live(path)
    return live(path) && all.get(path)?.versions.find((one) => one.version === version)
  }

  return {
    live,
    id: (): string => `1.${revision}`,
    onMove(hear: (path: string) => void): () => void {
      hearers.add(hear)
      return () => void hearers.delete(hear)
    },

    /** Writes the next version. @throws PurserError `bad_options` */
    set(path: string, data: Readonly<Record<string, unknown>>): number {
      checkPath(path)
      // As it comes out of JSON, and nobody's to change afterwards.
      const value: Fields = JSON.parse(JSON.stringify(data))
      const kept = all.get(path) ?? { versions: [], isThere: true }
      const version = (kept.versions.at(-1)?.version ?? 0) + 1
      kept.isThere = true
      kept.versions.push({ version, data: value, createdAt: now() })
      all.set(path, kept)
      moved(path)
      return version
    },

    /** @throws PurserError `not_found` */
    remove(path: string): void {
      const kept = all.get(path)
      if (!kept?.isThere) throw new PurserError('not_found', 'there is no such secret')
      kept.isThere = false
      moved(path)
    },

    /** All of them, or a refusal that names the part. @throws Refusal */
    read(wanted: readonly SecretOption[], entry: WorkloadEntry, session: Session) {
      const secrets = wanted.map((option) => (typeof option === 'string' ? { path: option } : option))
      const found = secrets.map(({ path, version }) => (isGranted(entry, path) ? find(path, version) : undefined))
      const refused = (
        code: 'not_granted' | 'not_found',
        detail: string,
        isIt: (path: string, n: number) => boolean,
      ) => {
        const errors = secrets.flatMap((secret, n) =>
          'optional' in secret && secret.optional
            ? []
            : isIt(secret.path, n)
              ? [{ pointer: `/secrets/${n}`, detail }]
              : [],
        )
        if (errors.length > 0) throw new Refusal(code, { errors })
      }
      refused('not_granted', 'is not granted to the caller', (path) => !isGranted(entry, path))
      refused('not_found', 'does not exist, or has no such version now', (_, n) => found[n] === undefined)
      const given = secrets.flatMap(({ path }, n) => {
        const version = found[n]
        return version ? [{ path, ...version }] : []
      })
      return {
        /** Called once it is certain that they leave. */
        gave(): void {
          for (const { path, version } of given) {
            const known = consumers.some(
              (consumer) => consumer.path === path && consumer.session === session.id && consumer.version === version,
            )
            const { spiffeId } = entry
            if (!known) consumers.push({ path, session: session.id, spiffeId, version, acknowledged: false })
          }
        },
        reply: given.map(({ path, version, data, createdAt }) => ({
          path,
          version,
          data,
          metadata: { createdAt: createdAt.toISOString() },
        })),
        record: given.map(({ path, version }) => ({ path, version })),
      }
    },

    /** @throws Refusal `not_found` */
    ack(path: string, version: number, session: Session): void {
      const found = consumers.find(
        (consumer) =>
          consumer.path === path &&
          consumer.session === session.id &&
          consumer.version === version &&
          !consumer.acknowledged,
      )
      if (!found) throw new Refusal('not_found')
      found.acknowledged = true
    },

    consumers: (path: string): TestConsumer[] =>
      consumers.filter((consumer) => consumer.path === path).map(({ path: _, ...rest }) => rest),
  }
}
