import { signCheckpoint } from '@purser/sdk/verify'
import { describe, expect, it } from 'vitest'
import { contradiction } from '../../src/audit/head-evidence.ts'
import { createTree } from '../../src/audit/tree.ts'
import { makeLog } from '../sdk/verify/small-log.ts'

const log = makeLog({ size: 300 })
const later = makeLog({ size: 5, epoch: 2 })
const other = makeLog({ size: 300 })
const identity = { trustDomain: 'prod.example', epoch: 1, vkeys: log.vkeys }

function treeOf(size: number) {
  const readNothing = (): never => {
    throw new Error('nothing is read')
  }
  const tree = createTree({ readTile: readNothing, readLeaves: readNothing })
  tree.append(log.leaves.slice(0, size))
  return tree
}
const judge = (note: string, size = 300, log = identity) =>
  contradiction(treeOf(size), log, { where: 'log-head', note })

describe('a head that was stored elsewhere', () => {
  it.each([0, 1, 255, 256, 257, 300])('does not contradict a log that grew from its %i entries', async (size) => {
    expect(await judge(log.checkpoint(size))).toBeUndefined()
  })

  it('shows that the database is behind', async () => {
    expect(await judge(log.checkpoint(300), 299)).toBe('log-head knows a log of 300 entries, the database has 299')
    expect(await judge(log.checkpoint(1), 0)).toContain('the database has 0')
  })

  it.each([
    ['of the same size', 300],
    ['that is smaller', 7],
  ])('shows another root, %s', async (_, size) => {
    const forged = signCheckpoint(log.origin, size, other.rootAt(size), [log.key])
    expect(await judge(forged)).toContain('are not those that were signed')
  })

  it('shows an epoch that the database has lost', async () => {
    const both = { ...identity, vkeys: [...log.vkeys, ...later.vkeys] }
    expect(await judge(later.checkpoint(5), 300, both)).toBe('log-head knows epoch 2, the database is in epoch 1')
  })

  it('of an older epoch is ignored', async () => {
    const now = { ...identity, epoch: 2 }
    expect(await judge(log.checkpoint(300), 12, now)).toBeUndefined()
  })

  it.each([
    ['nothing that is a note', 'example'],
    ['half a note', log.checkpoint(300).slice(0, -20)],
    ['a note of a key that the database does not know', other.checkpoint(300)],
    ['an edited note', log.checkpoint(300).replace('\n300\n', '\n200\n')],
  ])('is never ignored: %s', async (_, note) => {
    expect(await judge(note)).toMatch(/^the head in log-head can't be used/)
  })

  it('is never ignored: another trust domain', async () => {
    expect(await judge(log.checkpoint(300), 300, { ...identity, trustDomain: 'lab.example' })).toBe(
      'the head in log-head is of another log, prod.example/log/1',
    )
  })
})
