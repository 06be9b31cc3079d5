/** Reads the tree of an epoch from the database. */
import { leafHash } from '@purser/sdk/verify'
import type { Knex } from '../store/database.ts'
import { readLeaves, readTile } from '../store/log.ts'
import { type Tree, restoreTree } from './tree.ts'

export const readLeafHashes = async (knex: Knex, epoch: number, from: number, to: number): Promise<Buffer[]> =>
  (await readLeaves(knex, epoch, from, to)).map((commitment) => leafHash(commitment))

export const readTree = (knex: Knex, epoch: number, size: number): Promise<Tree> =>
  restoreTree(size, {
    readTile: (level, index) => readTile(knex, epoch, level, index),
    readLeaves: (from, to) => readLeafHashes(knex, epoch, from, to),
  })
