/** The keyring: wrapping keys, each wrapped by the root key. They wrap private keys and data keys. */
import { type KeyObject, createSecretKey, randomBytes } from 'node:crypto'
import { decrypt, encrypt } from './envelope.ts'
import type { RootKey } from './root-key.ts'

export type KeyringRow = { id: string; wrapped: Buffer; rootKeyId: string; createdAt: Date }

/** Made by another replica, and not known here yet; or its row is gone. */
export class UnknownWrappingKey extends Error {
  /** Our own words: a log may show them. */
  readonly safeToLog = true
  constructor(id: string) {
    super(`the keyring has no key ${id}`)
    this.name = 'UnknownWrappingKey'
  }
}

export type Keyring = {
  readonly instanceId: string
  /** The key that wraps what is made now. */
  readonly currentId: string
  has(id: string): boolean
  /** Opens wrapping keys that another replica made since. @throws as `openKeyring` */
  add(rows: readonly KeyringRow[]): Promise<void>
  wrap(plaintext: Buffer, fields: readonly string[]): Buffer
  /** @throws EnvelopeError when the row was moved or changed; UnknownWrappingKey when its wrapping key is missing */
  unwrap(wrappingKeyId: string, wrapped: Buffer, fields: readonly string[]): Buffer
}

const place = (instanceId: string, id: string): string[] => ['keyring', instanceId, id]

export async function newKeyringRow(root: RootKey, instanceId: string, id: string, now: Date): Promise<KeyringRow> {
  return { id, wrapped: await root.wrap(randomBytes(32), place(instanceId, id)), rootKeyId: root.id, createdAt: now }
}

/** Opens every wrapping key. @throws when the root key is another one than the rows were wrapped by */
export async function openKeyring(root: RootKey, instanceId: string, rows: readonly KeyringRow[]): Promise<Keyring> {
  const keys = new Map<string, KeyObject>()
  let current: KeyringRow | undefined

  async function add(more: readonly KeyringRow[]): Promise<void> {
    for (const row of more) {
      if (row.rootKeyId !== root.id) {
        throw new Error(`the keyring was wrapped by root key ${row.rootKeyId}, not by the given ${root.id}`)
      }
      if (!keys.has(row.id))
        keys.set(row.id, createSecretKey(await root.unwrap(row.wrapped, place(instanceId, row.id))))
      if (!current || row.createdAt > current.createdAt) current = row
    }
  }

  await add(rows)
  const currentId = (): string => {
    if (!current) throw new Error('the keyring is empty')
    return current.id
  }
  currentId()
  const key = (id: string): KeyObject => {
    const found = keys.get(id)
    if (!found) throw new UnknownWrappingKey(id)
    return found
  }
  return {
    instanceId,
    get currentId() {
      return currentId()
    },
    has: (id) => keys.has(id),
    add,
    wrap: (plaintext, fields) => encrypt(key(currentId()), plaintext, [instanceId, currentId(), ...fields]),
    unwrap: (id, wrapped, fields) => decrypt(key(id), wrapped, [instanceId, id, ...fields]),
  }
}
