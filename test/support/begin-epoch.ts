/** `purser log new-epoch` for a stopped server, with the head in its data directory. */
import { randomBytes } from 'node:crypto'
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { Config } from '../../src/config.ts'
import { type NewEpoch, newEpoch } from '../../src/start/new-epoch.ts'
import { openOffline } from '../../src/start/open-offline.ts'

export async function beginEpoch(config: Config, dataDir: string, reason: string): Promise<NewEpoch> {
  const offline = await openOffline(config)
  try {
    const note = await readFile(join(dataDir, 'log-head'), 'utf8')
    const evidence = [{ where: 'log-head', note }]
    const { keys: lifetimes } = config
    return await newEpoch({ ...offline, evidence, reason, lifetimes, now: new Date(), randomBytes })
  } finally {
    await offline.db.close()
  }
}
