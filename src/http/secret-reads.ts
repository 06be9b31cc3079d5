/** Secrets as workloads meet them: values by path, one or many in a request, and the names that they may list. */
import type { Release } from '../audit/record.ts'
import { refuse } from '../errors.ts'
import { parseSecretPath } from '../names/secret-path.ts'
import { type ReadParts, type ReadSecrets, type Wanted, readSecrets, secretPath } from '../secrets/read.ts'
import { createPathIndex, findPaths } from '../secrets/path-index.ts'
import type { Database } from '../store/database.ts'
import { ackVersion } from '../store/consumers.ts'
import type { Snapshot } from '../store/snapshot.ts'
import { type ListParts, createPages } from './lists.ts'
import { etag } from './preconditions.ts'
import { type ApiRequest, type Reply, bodyOf, queryFor } from './request.ts'
import type { ChangeState, Issue, Read } from './route.ts'
import { checkReason, revealReason } from '../actions/context.ts'
import { secretCaller } from '../actions/secrets/reader.ts'
import { showListed } from './secret-view.ts'
import { readEnds } from '../store/secret-versions.ts'

export type SecretReadParts = ListParts & { db: Pick<Database, 'knex'>; readSecretsBy: ReadParts }

export function createSecretReads(parts: SecretReadParts): { one: Issue; many: Issue; list: Read; ack: ChangeState } {
  const page = createPages(parts)
  const pathsOf = createPathIndex()

  async function read(
    request: ApiRequest,
    snapshot: Snapshot,
    wanted: Wanted[],
    at: (n: number) => string,
    answer: (found: ReadSecrets) => Pick<Reply, 'body' | 'headers' | 'receipt'>,
  ): Promise<Release<Reply>> {
    const { holder, may, actor, live } = secretCaller(request, snapshot)
    checkReason(request, revealReason)
    const reader = { holder, may: (path: Parameters<typeof may>[1]) => may('read', path) }
    const found = await readSecrets(parts.readSecretsBy, wanted, reader, snapshot, request.time, at)
    return {
      result: answer(found),
      entry: { ...(actor && { actor }), issued: { secrets: found.record } },
      effects: { reads: found.reads, ...live },
      // Grants are evaluated at each use: a newer entry may grant less.
      holds: (snapshot) => found.holds(snapshot) && mayAll(request, snapshot, found),
    }
  }

  return {
    async one(request, snapshot) {
      const { version } = queryFor(request, 'readSecret')
      const path = request.params.path ?? ''
      const wanted = version === undefined ? path : { path, version }
      return read(request, snapshot, [wanted], pathPointer, ({ values }) => {
        const [value] = values
        if (!value) throw new Error('a read secret has no value')
        return {
          headers: etag(value.version),
          body: { json: value },
          receipt: { put: (receipt) => Object.assign({}, value, { receipt }) },
        }
      })
    },

    async many(request, snapshot) {
      const { secrets, receipt: since } = bodyOf(request, 'readSecrets')
      return read(
        request,
        snapshot,
        secrets,
        (n) => `/secrets/${n}`,
        ({ values }) => ({
          body: { json: { secrets: values } },
          receipt: { ...(since && { since }), put: (receipt) => ({ secrets: values, receipt }) },
        }),
      )
    },

    async list(request, snapshot) {
      const { prefix = '' } = queryFor(request, 'listSecrets')
      const caller = secretCaller(request, snapshot)
      const may = (path: string): boolean => caller.may('list', parseSecretPath(path))
      const index = pathsOf(snapshot.secrets)
      const rows = async (after: string | undefined, max: number) => {
        const paths = await findPaths(index, { roots: caller.roots('list'), prefix, after, max, may })
        const secrets = paths.flatMap((path) => snapshot.secrets.get(path) ?? [])
        const ends = await readEnds(parts.db.knex, secrets)
        return secrets.map((secret) => ({ path: secret.path, shown: showListed(secret, ends.get(secret.id)) }))
      }
      return page(request, snapshot, { list: 'secrets', rows, keyOf: ({ path }) => path, show: ({ shown }) => shown })
    },

    async ack(request, tx, snapshot) {
      const { caller, params, time } = request
      if (caller.kind !== 'session') throw refuse('token_type')
      const { version } = bodyOf(request, 'ackSecret')
      const path = secretPath(params.path ?? '', '/path/path')
      const { may, holder, actor } = secretCaller(request, snapshot)
      if (!may('read', path)) throw refuse('not_granted', { errors: [{ pointer: '/path/path', detail: notGranted }] })
      const secret = snapshot.secrets.get(path.path)
      if (!secret) throw refuse('not_found')
      return {
        result: { status: 204, body: { text: '', type: 'text/plain' } },
        entry: {
          resource: { kind: 'secret', id: secret.id, name: secret.path },
          detail: { version },
          ...(actor && { actor }),
        },
        // These rows are the group commit's too, which holds the head lock before it takes theirs.
        async placed() {
          if ((await ackVersion(tx, { secret: secret.id, version, holder }, time)) === 0) throw refuse('not_found')
        },
      }
    },
  }
}

const notGranted = 'is not granted to the caller'
const pathPointer = (): string => '/path/path'

function mayAll(request: ApiRequest, snapshot: Snapshot, { record }: ReadSecrets): boolean {
  const { may } = secretCaller(request, snapshot)
  return record.every(({ path }) => may('read', parseSecretPath(path)))
}
