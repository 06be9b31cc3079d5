/**
 * Blocks in memory. The number of revoked credentials decides whether certificates name a shard of the CRL.
 */
import { describe, expect, it } from 'vitest'
import { BlockTable } from '../../src/store/memory/blocks.ts'
import type { BlockRow } from '../../src/store/rows.ts'

const hourMs = 3600_000
const revokedUntil = (value: string, until: number): BlockRow => ({
  id: `blk_${value}`,
  kind: 'serialNumber',
  value,
  until: new Date(until),
  at: new Date(0),
  revocation: 'rev_1',
})

describe('revoked credentials in memory', () => {
  it('are counted once, those of the first read without their names', () => {
    const table = new BlockTable()
    table.countRevoked({ hour: 2, count: 1_000_000 })
    const row = revokedUntil('ab', 1.5 * hourMs)
    table.set(row)
    table.set(row)
    table.set({ ...row, id: 'blk_jti', kind: 'jti' })
    expect(table.revokedCertificates()).toBe(1_000_001)
    expect(table.isNewlyRevoked('serialNumber', 'ab')).toBe(true)
    expect(table.isNewlyRevoked('serialNumber', 'cd')).toBe(false)
    expect(table.isNewlyRevoked('accessToken', 'ab')).toBe(false)
  })

  it('are forgotten in the hour after their end', () => {
    const table = new BlockTable()
    table.countRevoked({ hour: 1, count: 10 })
    table.set(revokedUntil('early', 1.5 * hourMs))
    table.set(revokedUntil('late', 2.5 * hourMs))
    table.forget(new Date(1.9 * hourMs))
    expect(table.revokedCertificates()).toBe(2)
    table.forget(new Date(2 * hourMs))
    expect(table.revokedCertificates()).toBe(1)
    expect(table.isNewlyRevoked('serialNumber', 'early')).toBe(false)
    expect(table.isNewlyRevoked('serialNumber', 'late')).toBe(true)
  })
})

describe('blocks of selectors in memory', () => {
  const block = (value: string, selectors: Record<string, string>, until: number, attestorId = 'att_1'): BlockRow => ({
    id: `blk_${value}`,
    kind: 'selectors',
    value,
    attestorId,
    selectors,
    until: new Date(until),
    at: new Date(0),
    revocation: 'con_1',
  })
  const names = (table: BlockTable, selectors: Record<string, string | string[]>): string[] =>
    table.ofSelectors('att_1', selectors).map((row) => row.value)

  it('cover instances of their attestor that have all of them', () => {
    const table = new BlockTable()
    table.set(block('node', { 'k8s:node': 'worker-7', 'k8s:ns': 'prod' }, hourMs))
    table.set(block('tag', { 'docker:tag': 'b' }, hourMs))
    table.set(block('elsewhere', { 'k8s:node': 'worker-7' }, hourMs, 'att_2'))
    expect(names(table, { 'k8s:node': 'worker-7', 'k8s:ns': 'prod', 'k8s:sa': 'web' })).toEqual(['node'])
    expect(names(table, { 'k8s:node': 'worker-7' })).toEqual([])
    expect(names(table, { 'docker:tag': ['a', 'b'] })).toEqual(['tag'])
  })

  it('are forgotten after their end', () => {
    const table = new BlockTable()
    const selectors = { 'k8s:ns': 'prod' }
    table.set(block('ns', selectors, 2 * hourMs))
    table.set(block('ns', selectors, hourMs))
    expect(names(table, selectors)).toEqual(['ns'])
    table.forget(new Date(1.5 * hourMs))
    expect(names(table, selectors)).toEqual([])
  })
})
