/** Secrets: values and names for callers with a grant, versions and metadata for operators. */
import type { Actions } from '../actions/actions.ts'
import { secretState } from '../actions/secrets/state.ts'
import type { WrittenSecret } from '../actions/secrets/write.ts'
import type { SecretRow } from '../store/rows.ts'
import { type ListParts, createPages } from './lists.ts'
import { etag, pathRevision } from './preconditions.ts'
import { pathOf } from './params.ts'
import { rendered } from './rendered.ts'
import { type Reply, bodyOf, json, noContent, queryOf } from './request.ts'
import { showConsumer } from './rotation-view.ts'
import type { ChangeState, Issue, Read } from './route-kinds.ts'
import { showListed, showVersion } from './secret-view.ts'

export type SecretRouteParts = ListParts & {
  actions: Pick<Actions, 'secrets'>
  /** Whether a session has an open watch that covers a secret. */
  isWatching: (session: string, path: string) => boolean
}

type SecretRoutes = Record<'readOne' | 'readMany' | 'acknowledge' | 'put' | 'patch', Issue> &
  Record<'remove' | 'undelete' | 'destroy' | 'describe', ChangeState> &
  Record<'list' | 'versions' | 'metadata' | 'consumers', Read>

export function createSecretRoutes(parts: SecretRouteParts): SecretRoutes {
  const { secrets } = parts.actions
  const page = createPages(parts)

  return {
    async readOne(request, snapshot, hints) {
      const { version } = queryOf(request, 'readSecret')
      const path = request.params.path ?? ''
      const requested = version === undefined ? path : { path, version }
      return rendered(await secrets.read(request, snapshot, [requested], hints, () => '/path/path'), ([value]) => {
        if (!value) throw new Error('a read secret has no value')
        return json(value, { headers: etag(value.version), receipt: { put: (receipt) => ({ ...value, receipt }) } })
      })
    },

    async readMany(request, snapshot, hints) {
      const { secrets: requested, receipt: since } = bodyOf(request, 'readSecrets')
      return rendered(await secrets.read(request, snapshot, requested, hints), (values) =>
        json(
          { secrets: values },
          { receipt: { ...(since && { since }), put: (receipt) => ({ secrets: values, receipt }) } },
        ),
      )
    },

    async list(request, snapshot) {
      const { prefix = '' } = queryOf(request, 'listSecrets')
      const rows = secrets.list(request, snapshot, prefix)
      return page(request, snapshot, { list: 'secrets', rows, keyOf: ({ secret }) => secret.path, show: showListed })
    },

    async acknowledge(request, snapshot) {
      const { version } = bodyOf(request, 'ackSecret')
      const path = pathOf(request)
      return rendered(await secrets.acknowledge(request, snapshot, { path, version }), () => noContent)
    },

    async put(request, _, hints) {
      const { data, expiresAt } = bodyOf(request, 'putSecret')
      const input = { ...pathRevision(request), data, ...(expiresAt && { expiresAt: new Date(expiresAt) }) }
      return rendered(await secrets.put(request, input, hints), showWritten)
    },

    async patch(request) {
      const input = { ...pathRevision(request), data: bodyOf(request, 'patchSecret').data }
      return rendered(await secrets.patch(request, input), showWritten)
    },

    remove: async (request, tx, snapshot) =>
      rendered(await secrets.delete(request, tx, snapshot, pathRevision(request)), showVersioned),

    async undelete(request, tx, snapshot) {
      const input = { ...bodyOf(request, 'undeleteSecret'), path: pathOf(request).path }
      return rendered(await secrets.undelete(request, tx, snapshot, input), showVersioned)
    },

    async destroy(request, tx, snapshot) {
      const input = { ...bodyOf(request, 'destroySecret'), path: pathOf(request).path }
      return rendered(await secrets.destroy(request, tx, snapshot, input), (secret) =>
        secret ? showVersioned(secret) : noContent,
      )
    },

    async versions(request) {
      const { secret, versions: rows } = await secrets.versions(pathOf(request).path)
      return json({ path: secret.path, items: rows.map((row) => showVersion(row, secret)) })
    },

    metadata: async (request) => showMetadata(await secrets.get(pathOf(request).path)),

    async describe(request, tx, snapshot) {
      const input = { ...bodyOf(request, 'describeSecret'), ...pathRevision(request) }
      return rendered(await secrets.describe(request, tx, snapshot, input), showMetadata)
    },

    async consumers(request, snapshot) {
      const { secret, consumers: rows } = await secrets.consumers(request, snapshot, pathOf(request).path)
      return page(request, snapshot, {
        list: `consumers/${secret.id}`,
        rows,
        keyOf: (row) => row.holder,
        show: (row) => {
          const { session, standing } = row
          const watching = session !== undefined && standing === 'live' && parts.isWatching(session.id, secret.path)
          return showConsumer(row, snapshot, watching)
        },
      })
    },
  }
}

const showVersioned = (secret: SecretRow): Reply => json(secretState(secret), { headers: etag(secret.version) })

const showMetadata = (secret: SecretRow): Reply => json(secretState(secret), { headers: etag(secret.revision) })

const showWritten = ({ secret, isNew }: WrittenSecret): Reply => ({
  ...showVersioned(secret),
  status: isNew ? 201 : 200,
})
