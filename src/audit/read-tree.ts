/** The tree of an epoch as the database has it, outside any process's memory. */
import { leafHash } from '@purser/sdk/verify'
import type { Knex } from '../store/database.ts'
import { readLeaves, readTile } from '../store/log.ts'
import { type Tree, restoreTree } from './tree.ts'

export const readTree = (knex: Knex, epoch: number, size: number): Promise<Tree> =>
  restoreTree(size, {
    readTile: (level, index) => readTile(knex, epoch, level, index),
    readLeaves: async (from, to) => (await readLeaves(knex, epoch, from, to)).map((leaf) => leafHash(leaf)),
  })
