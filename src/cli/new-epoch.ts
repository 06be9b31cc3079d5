/** `purser log new-epoch`: reads the known heads and begins the epoch. */
import { randomBytes } from 'node:crypto'
import { rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type HeadPlace, headFile, headObject } from '../audit/head-places.ts'
import type { HeadEvidence } from '../audit/head-evidence.ts'
import { type Config, readConfig } from '../config.ts'
import { type NewEpoch, newEpoch } from '../start/new-epoch.ts'
import { openOffline } from '../start/open-offline.ts'
import { type Outbound, createOutbound } from '../outbound/client.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { readText } from './settings.ts'

type Begun = Pick<NewEpoch, 'epoch' | 'vkey' | 'previous' | 'ended' | 'bootstrapExpiresAt'> & {
  lost: string
  forks: string[]
  replaced: string[]
  bootstrapTokenFile: string
}

type Options = { reason: string; known: readonly string[]; acceptFork: boolean }

export async function beginEpoch(io: Io, { reason, known: files, acceptFork }: Options): Promise<Begun> {
  const config = readConfig({ env: io.env, readFile: io.readFile })
  const outbound = createOutbound({ allow: config.fetchAllow })
  const offline = await openOffline(config)
  try {
    const evidence = await readHeads(io, headPlaces(config, outbound), files)
    const { keys: lifetimes } = config
    const result = await newEpoch({ ...offline, evidence, acceptFork, reason, lifetimes, now: new Date(), randomBytes })
    const bootstrapTokenFile = join(config.dataDir, 'bootstrap-token')
    rmSync(bootstrapTokenFile, { force: true })
    writeFileSync(bootstrapTokenFile, `${result.bootstrapToken}\n`, { mode: 0o600, flag: 'wx' })
    const { epoch, vkey, previous, ended, keys, bootstrapExpiresAt } = result
    const replaced = [...new Set(keys.withdrawn.map((row) => row.kind))]
    const lost = lostWords(previous)
    const forks = previous.forks.map(({ where, size }) => `${where}: ${size} other entries`)
    return { epoch, vkey, previous, lost, forks, ended, replaced, bootstrapTokenFile, bootstrapExpiresAt }
  } finally {
    outbound.close()
    await offline.db.close()
  }
}

/** Where a server with this configuration keeps the newest head. */
export const headPlaces = ({ dataDir, log: { headUrl } }: Config, outbound: Outbound): HeadPlace[] => [
  headFile(dataDir),
  ...(headUrl === undefined ? [] : [headObject(headUrl, outbound)]),
]

/** @param files the values of `--known` */
export async function readHeads(
  io: Pick<Io, 'readFile'>,
  places: readonly HeadPlace[],
  files: readonly string[],
): Promise<HeadEvidence[]> {
  const stored = (await Promise.all(places.map(read))).flat()
  return [...stored, ...files.map((path) => ({ where: path, note: readText(io, path, '--known') }))]
}

async function read(place: HeadPlace): Promise<HeadEvidence[]> {
  try {
    const { note } = await place.read()
    return note === '' ? [] : [{ where: place.where, note }]
  } catch {
    throw new CliError(
      `cannot read the head in ${place.where}, which may be the newest: make it readable, then run this again`,
      exitCodes.unreachable,
    )
  }
}

function lostWords({ size, known }: NewEpoch['previous']): string {
  if (!known) return 'unknown: no head is newer than the database'
  if (known.size <= size) return `nothing known: the newest head, in ${known.where}, has ${known.size} entries`
  return `entries ${size} to ${known.size - 1}, by the head in ${known.where}`
}
