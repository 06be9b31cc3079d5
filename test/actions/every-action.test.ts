/** Each action is called by a test without HTTP, so that none is tested through the routes alone. */
import { afterAll, beforeAll, expect, it } from 'vitest'
import { type TestActions, openActions } from '../support/actions.ts'
import { readSources } from '../support/source-files.ts'

let purser: TestActions
beforeAll(async () => {
  purser = await openActions()
})
afterAll(() => purser.stop())

it('has a test without HTTP', () => {
  const tests = readSources('test/actions').map(({ text }) => text)
  const names = Object.entries(purser.actions).flatMap(([noun, actions]) =>
    Object.entries(actions).flatMap(([verb, action]) => (typeof action === 'function' ? [`${noun}.${verb}`] : [])),
  )
  expect(names.length).toBeGreaterThan(50)
  const isCalled = (name: string): boolean => tests.some((text) => new RegExp(`\\b${name}\\(`).test(text))
  expect(names.filter((name) => !isCalled(name))).toEqual([])
})
