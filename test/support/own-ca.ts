/** The issuing CA of a running server, opened with its root key as an intruder on its host could. */
import { type OpenCa, createKeys } from '../../src/keys/keys.ts'
import { openKeyring } from '../../src/keys/keyring.ts'
import { openRootKey } from '../../src/keys/root-key.ts'
import { readKeys, readWrappingKeys } from '../../src/store/keys.ts'
import { readHead } from '../../src/store/log.ts'
import type { TestPurser } from './purser.ts'

export async function openIssuingCa({ config, knex }: Pick<TestPurser, 'config' | 'knex'>): Promise<OpenCa> {
  if (config.rootKey.kind !== 'value') throw new Error('the root key is in a file')
  const rootKey = openRootKey({ kind: 'value', value: config.rootKey.value.reveal() })
  const head = await readHead(knex)
  const keyring = await openKeyring(rootKey, head?.instanceId ?? '', await readWrappingKeys(knex))
  const keys = new Map((await readKeys(knex)).map((row) => [row.id, row]))
  return createKeys(keyring).issuingCa({ keys }, new Date())
}
