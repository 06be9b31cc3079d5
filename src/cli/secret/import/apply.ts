/** Writes missing values. An equal value is not written again, so an interrupted import can be repeated. */
import { isDeepStrictEqual } from 'node:util'
import { setTimeout as pause } from 'node:timers/promises'
import { type Api, ifFound } from '../../api.ts'
import { CliError, exitCodes } from '../../io.ts'
import { findSecret } from '../place.ts'
import type { Data } from './source.ts'

export type Imported = { did: 'created' | 'changed' | 'unchanged'; version: number; versions?: number }

export type ImportParts = {
  api: Pick<Api, 'call'>
  reason: string
  dryRun: boolean
  all: boolean
  retryAfterMs?: number
}

const maxTries = 6
/** The default and the maximum number of versions that a secret keeps. */
const [defaultVersions, maxVersions] = [10, 100]

/** The live value, or that of a version; undefined if there is none. */
async function valueOf({ api, reason }: ImportParts, path: string, version?: number): Promise<Data | undefined> {
  const request = { path: { path }, query: { version }, reason }
  return (await ifFound(api.call('GET', '/api/v1/secrets/{path}', request)))?.data
}

/** The values that remain to write after those `here`; undefined when the histories differ. */
function missingOf(here: readonly Data[], there: readonly Data[]): Data[] | undefined {
  if (here.length === 0) return [...there]
  for (let end = there.length; end >= here.length; end--) {
    if (isDeepStrictEqual(there.slice(end - here.length, end), here)) return there.slice(end)
  }
  return undefined
}

async function historyOf(parts: ImportParts, path: string): Promise<Data[]> {
  const { body } = await parts.api.call('GET', '/api/v1/secrets/{path}:versions', { path: { path } })
  const here: Data[] = []
  for (const { version } of body.items.toReversed()) {
    const data = await valueOf(parts, path, version)
    if (data) here.push(data)
  }
  return here
}

async function write(parts: ImportParts, path: string, version: number, data: Data): Promise<number> {
  const request = { path: { path }, body: { data }, ifMatch: version, reason: parts.reason }
  return (await parts.api.call('PUT', '/api/v1/secrets/{path}', request)).body.version
}

/** Raises the number of kept versions, so that the first ones written stay. */
async function keepAll(parts: ImportParts, path: string, count: number): Promise<void> {
  if (count <= defaultVersions) return
  const live = await findSecret(parts.api, path)
  if (!live || live.maxVersions >= count) return
  const { description, labels, managedBy } = live
  const body = {
    labels,
    maxVersions: Math.min(count, maxVersions),
    ...(description !== undefined && { description }),
    ...(managedBy !== undefined && { managedBy }),
  }
  const request = { path: { path }, body, ifMatch: live.revision, reason: parts.reason }
  await parts.api.call('PUT', '/api/v1/secrets/{path}:metadata', request)
}

/** @param values oldest first, at least one */
async function importOnce(
  parts: ImportParts,
  path: string,
  values: readonly Data[],
): Promise<Imported | { refused: string }> {
  const live = await findSecret(parts.api, path)
  const selected = parts.all ? values.slice(-maxVersions) : values.slice(-1)
  const here = live ? (parts.all ? await historyOf(parts, path) : await newest(parts, path)) : []
  const missing = missingOf(here, selected) ?? (parts.all ? undefined : selected)
  if (!missing) return { refused: 'it has a different history here: import it without --all-versions' }
  let version = live?.version ?? 0
  if (missing.length === 0) return { did: 'unchanged', version }
  const did = live ? 'changed' : 'created'
  if (parts.dryRun) return { did, version: version + missing.length, versions: missing.length }
  for (const [n, data] of missing.entries()) {
    version = await write(parts, path, version, data)
    if (n === 0) await keepAll(parts, path, selected.length)
  }
  return { did, version, versions: missing.length }
}

async function newest(parts: ImportParts, path: string): Promise<Data[]> {
  const data = await valueOf(parts, path)
  return data ? [data] : []
}

/** Reports a refusal of one value, so that the others go on; retries what the server cannot do now. */
export async function importValues(
  parts: ImportParts,
  path: string,
  values: readonly Data[],
): Promise<Imported | { refused: string }> {
  const { retryAfterMs = 1000 } = parts
  for (let tries = 1; ; tries++) {
    try {
      return await importOnce(parts, path, values)
    } catch (error) {
      if (!(error instanceof CliError)) throw error
      const isPassing = error.code === 'rate_limited' || error.exitCode === exitCodes.unreachable
      if (isPassing && tries < maxTries) {
        await pause(retryAfterMs * 2 ** (tries - 1))
        continue
      }
      if (isPassing || error.code === 'unauthenticated' || error.code === 'forbidden') throw error
      return { refused: error.message.split('\n').slice(0, 3).join('; ').replaceAll(/\s+/g, ' ') }
    }
  }
}
