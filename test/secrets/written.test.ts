/** The writes that may be decided from memory. */
import { expect, it } from 'vitest'
import { createWrittenStates } from '../../src/actions/secrets/written.ts'
import type { SecretRow } from '../../src/store/rows.ts'

const secret = (members: Partial<SecretRow> = {}): SecretRow => ({
  id: 'sec_1',
  path: 'a/b',
  version: 3,
  revision: 4,
  labels: {},
  maxVersions: 5,
  createdAt: new Date(0),
  updatedAt: new Date(0),
  ...members,
})
const state = (members: Partial<SecretRow> = {}, versions = [3, 2, 1]) => ({
  secret: secret(members),
  lastVersion: 3,
  isRotating: false,
  versions,
})

it('finds the state of the last write of a path, at the version that the writer read', () => {
  const states = createWrittenStates()
  states.keep('a/b', state())
  expect(states.find('a/b', 3)).toEqual(state())
  expect(states.find('a/b', 2)).toBeUndefined()
  expect(states.find('a/c', 3)).toBeUndefined()
})

it.each([
  ['may be refused for its rotator', state({ rotator: 'postgres' })],
  ['destroys a version', state({}, [3, 2, 1, 0, -1])],
])('leaves a write to the database that %s', (_, mode) => {
  const states = createWrittenStates()
  states.keep('a/b', mode)
  expect(states.find('a/b', 3)).toBeUndefined()
})

it('forgets the oldest writes', () => {
  const states = createWrittenStates()
  for (let n = 0; n < 17_000; n++) states.keep(`a/${n}`, state())
  expect(states.find('a/0', 3)).toBeUndefined()
  expect(states.find('a/16999', 3)).toBeDefined()
})
