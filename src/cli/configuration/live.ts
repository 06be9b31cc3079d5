/** Reads and writes the objects of a configuration at the server. */
import { type Api, ifFound } from '../api.ts'
import type { Definition } from '../documents.ts'
import { usageError } from '../io.ts'
import { type KindName, type ObjectName, specIn } from './kinds.ts'

/** An object as the server has it. */
export type Live = ObjectName & { id?: string; revision: number; spec: Definition }

type Write = { ifMatch: number; reason: string | undefined }

type Access = {
  /** The list tells what does not exist. That of policies does not tell whether a secret exists. */
  isListComplete: boolean
  /** @throws CliError when the secret of a rotation policy does not exist */
  get: (name: string) => Promise<Live | undefined>
  /** Every object, or those of one manager. */
  list: (managedBy?: string) => AsyncGenerator<Live>
  put: (name: string, spec: Definition, write: Write) => Promise<Written>
  remove: (name: string, write: Write) => Promise<Written>
}

export type Written = { revision?: number; logIndex: string | undefined; warnings?: { code: string; detail: string }[] }

export type Objects = Record<KindName, Access>

const namedPaths = {
  attestor: { path: '/api/v1/attestors/{name}', listPath: '/api/v1/attestors' },
  database: { path: '/api/v1/databases/{name}', listPath: '/api/v1/databases' },
  workload: { path: '/api/v1/workloads/{name}', listPath: '/api/v1/workloads' },
  operator: { path: '/api/v1/operators/{name}', listPath: '/api/v1/operators' },
} as const

const rotation = '/api/v1/secrets/{path}:rotation'

export const openObjects = (api: Api): Objects => ({
  attestor: accessByName(api, 'attestor'),
  database: accessByName(api, 'database'),
  workload: accessByName(api, 'workload'),
  'rotation-policy': policies(api),
  operator: accessByName(api, 'operator'),
})

/** A page of a list has one entry in the log, as each single read has. */
const maxSingleReads = 100

/** The objects with these names that exist, by name. */
export async function readObjects(
  access: Access,
  names: readonly string[],
  onRead: () => void,
): Promise<Map<string, Live>> {
  const byName = new Map<string, Live>()
  const searched = new Set(names)
  const isListed = names.length > maxSingleReads
  if (isListed) for await (const live of access.list()) if (searched.has(live.name)) byName.set(live.name, live)
  for (const name of names) {
    if (!byName.has(name) && !(isListed && access.isListComplete)) {
      const live = await access.get(name)
      if (live) byName.set(name, live)
    }
    onRead()
  }
  return byName
}

type Reply = { id: string; name: string; kind?: string; revision: number }

function accessByName(api: Api, kind: keyof typeof namedPaths): Access {
  const { path, listPath } = namedPaths[kind]
  const show = (reply: Reply): Live => {
    const { id, name, revision } = reply
    return { kind, name, id, revision, spec: specIn({ ...reply }) }
  }
  return {
    isListComplete: true,
    async get(name) {
      const body = await ifFound(api.call('GET', path, { path: { name } }))
      return body && show(body)
    },
    async *list(managedBy) {
      // The attestor of join tokens is built in.
      for await (const reply of api.items(listPath, { query: { managedBy } })) {
        if (!('kind' in reply && reply.kind === 'join-token')) yield show(reply)
      }
    },
    async put(name, spec, { ifMatch, reason }) {
      const { body, logIndex } = await api.call('PUT', path, {
        path: { name },
        definition: { name, ...spec },
        ifMatch,
        reason,
      })
      const warnings = 'warnings' in body ? (body.warnings ?? []) : []
      return { revision: body.revision, logIndex, warnings }
    },
    async remove(name, write) {
      const { logIndex } = await api.call('DELETE', path, { path: { name }, ...write })
      return { logIndex }
    },
  }
}

function policies(api: Api): Access {
  const kind = 'rotation-policy'
  return {
    isListComplete: false,
    async get(path) {
      const rotationState = await ifFound(api.call('GET', rotation, { path: { path } }))
      if (!rotationState) throw usageError(`there is no secret ${path}: write it first, with purser secret put ${path}`)
      const { policy, revision } = rotationState
      return policy && { kind, name: path, revision, spec: { ...policy } }
    },
    async *list(managedBy) {
      for await (const { path, revision, policy } of api.items('/api/v1/rotation-policies', { query: { managedBy } })) {
        yield { kind, name: path, revision, spec: { ...policy } }
      }
    },
    async put(path, spec, { ifMatch, reason }) {
      const { body, logIndex } = await api.call('PUT', rotation, { path: { path }, definition: spec, ifMatch, reason })
      return { revision: body.revision, logIndex }
    },
    async remove(path, write) {
      const { logIndex } = await api.call('DELETE', rotation, { path: { path }, ...write })
      return { logIndex }
    },
  }
}
