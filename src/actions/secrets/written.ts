/**
 * The states of the paths that this process wrote last, so that the next write of such a path needs no query. Memory decides
 * no refusal. The append refuses the write if the secret has another revision, if a rotation of it runs, or if the version
 * exists, and the write is then decided by what the database has.
 */
import { createRecentlyUsed } from '../../secrets/recently-used.ts'
import type { WriteState } from '../../store/write-states.ts'

export type WrittenStates = {
  /** The state after the last write, if it is that of this version and no older version is in the way of another one. */
  find(path: string, version: number): WriteState | undefined
  /** Keeps the state of a write that the append has accepted. */
  keep(path: string, state: WriteState): void
}

const maxBytes = 8 * 1024 * 1024
/** Of a row without texts, and of a version number. */
const [stateBytes, versionBytes] = [512, 8]

const sizeOf = ({ versions, secret }: WriteState): number =>
  stateBytes + versions.length * versionBytes + 2 * JSON.stringify(secret?.labels).length

export function createWrittenStates(): WrittenStates {
  const states = createRecentlyUsed<WriteState>(maxBytes, sizeOf)
  return {
    find(path, version) {
      const state = states.get(path)
      const { secret } = state ?? {}
      if (!state || !secret || secret.version !== version || secret.rotator !== undefined) return undefined
      // Versions are destroyed and expire without a new revision, so the database says which ones a write destroys.
      return state.versions.length < secret.maxVersions ? state : undefined
    },
    keep: (path, state) => states.set(path, state),
  }
}
