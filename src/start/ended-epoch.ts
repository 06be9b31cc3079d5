/**
 * The end of an epoch, by the database and by signed heads from elsewhere. A signed head over entries that the database
 * does not have proves a fork: the log key signed two histories.
 */
import { type Checkpoint, openCheckpoint, parseCheckpoint, parseNote, signCheckpoint } from '@purser/sdk/verify'
import type { HeadEvidence } from '../audit/head-evidence.ts'
import { originOf } from '../audit/log.ts'
import { readTree } from '../audit/read-tree.ts'
import type { Tree } from '../audit/tree.ts'
import { createKeys, logVkey } from '../keys/keys.ts'
import type { Keyring } from '../keys/keyring.ts'
import { StartError } from './open-store.ts'
import type { Knex } from '../store/database.ts'
import type { Head } from '../store/log.ts'
import type { KeyRow } from '../store/rows.ts'

export type KnownEpoch = HeadEvidence & { head: Checkpoint; epoch: number }

/** The log key signed entries that the database does not have. */
class ForkedLog extends Error {
  constructor(forks: readonly KnownEpoch[]) {
    super(
      `${forks.map(describeFork).join('; ')}. Restore the database that holds them and keep this one as evidence. ` +
        'To continue with this database, repeat with --accept-fork: the log then names them',
    )
    this.name = 'ForkedLog'
  }
}

const describeFork = ({ where, head }: KnownEpoch): string =>
  `${where} is a signed head over ${head.size} other entries than those of this database`

/** Newest first. */
export function readHeads(evidence: readonly HeadEvidence[], trustDomain: string): KnownEpoch[] {
  const heads = evidence.map((place): KnownEpoch => {
    try {
      const head = parseCheckpoint(parseNote(place.note).text)
      const [, epoch] = /\/log\/([1-9][0-9]*)$/.exec(head.origin) ?? []
      if (head.origin === originOf(trustDomain, Number(epoch))) return { ...place, head, epoch: Number(epoch) }
    } catch {
      // The error below names the place.
    }
    throw new StartError(`${place.where} holds no head of the log of ${trustDomain}: remove it, or name another`)
  })
  return heads.sort((a, b) => b.epoch - a.epoch || b.head.size - a.head.size)
}

type Parts = { heads: readonly KnownEpoch[]; acceptFork: boolean; keyring: Keyring }

/**
 * Signs the epoch's last head. Where the newest comparable head is a fork, that head takes its place, so that a verifier
 * finds where the two differ.
 * @throws ForkedLog unless forks are accepted; StartError where a head was signed by another log
 */
export async function endEpoch(tx: Knex, old: Head, rows: readonly KeyRow[], parts: Parts) {
  const { epoch, size, trustDomain, closed } = old
  const { heads, acceptFork, keyring } = parts
  const origin = originOf(trustDomain, epoch)
  const tree = await readTree(tx, epoch, size)
  const root = await tree.rootAt(size)
  const ofEpoch = heads.filter((head) => head.epoch === epoch)
  const within = ofEpoch.filter(({ head }) => head.size <= size)
  requireSigned(within, rows, origin)
  const forks = [...(await forksOf(tree, within)), ...forksBeyond(ofEpoch, size)]
  if (forks.length > 0 && !acceptFork) throw new ForkedLog(forks)

  const [newest] = heads
  const [latest] = within
  const keys = new Map(rows.map((row) => [row.id, row]))
  const sign = (): string =>
    signCheckpoint(origin, size, root, createKeys(keyring).logSigners({ keys }, origin, epoch, size))
  return {
    /** The head that the epoch ends with. */
    previousNote: latest && forks.includes(latest) ? latest.note : sign(),
    /** What the first entry of the next epoch says of this one. */
    detail: {
      epoch,
      database: { size, root: root.toString('base64') },
      ...knownDetail(newest, epoch),
      ...(forks.length > 0 && { forks: forks.map(headOf) }),
      ...(closed && { closed: { reason: closed.reason, at: closed.at.toISOString() } }),
    },
    ...(newest && { newest }),
    forks,
  }
}

/** The database has every key that signed a head of its size or smaller. */
function requireSigned(within: readonly KnownEpoch[], rows: readonly KeyRow[], origin: string): void {
  const vkeys = rows.filter((row) => row.kind === 'log').map((row) => logVkey(row, origin))
  for (const { note, where } of within) {
    try {
      openCheckpoint(note, vkeys)
    } catch {
      throw new StartError(`${where} is signed by no log key of this database: remove it, or name another`)
    }
  }
}

async function forksOf(tree: Tree, within: readonly KnownEpoch[]): Promise<KnownEpoch[]> {
  const roots = await Promise.all(within.map(({ head }) => tree.rootAt(head.size)))
  return within.filter(({ head }, n) => !roots[n]?.equals(head.root))
}

/** Heads larger than the database that contradict another head of the same size. */
function forksBeyond(ofEpoch: readonly KnownEpoch[], size: number): KnownEpoch[] {
  const beyond = ofEpoch.filter(({ head }) => head.size > size)
  return beyond.filter(({ head }) =>
    beyond.some((other) => other.head.size === head.size && !other.head.root.equals(head.root)),
  )
}

const headOf = ({ head, note }: KnownEpoch) => ({ size: head.size, root: head.root.toString('base64'), note })

/** The newest head from elsewhere, for the entry: `known` in the same epoch, `lost` in an epoch that the database lacks. */
function knownDetail(newest: KnownEpoch | undefined, epoch: number): Record<string, unknown> {
  if (!newest) return {}
  return newest.epoch === epoch
    ? { known: headOf(newest) }
    : { lost: { origin: newest.head.origin, ...headOf(newest) } }
}
