/** The option `--login`: the proof is an ID token for which a person logs in at the issuer of an attestor. */
import { randomBytes } from 'node:crypto'
import { PurserError } from '@purser/sdk/connection'
import { type ServerFlags, defaultAddr, withApi } from '../api.ts'
import { type Io, usageError } from '../io.ts'
import { remark } from '../output.ts'
import { setting } from '../settings.ts'
import { type Login, createClient } from './client.ts'
import { logInByDevice } from './device.ts'
import { createTokenCache } from './token-cache.ts'

type Flags = ServerFlags & { attestor?: string }

/**
 * Presents the token of the last login while it is valid, else logs in.
 * @param present attests with the token
 */
export async function withLogin<T>(
  io: Io,
  flags: Flags,
  signal: AbortSignal,
  present: (login: Login, token: string) => Promise<T>,
): Promise<T> {
  const login = await findLogin(io, flags)
  const cache = createTokenCache(io, setting(io, 'PURSER_ADDR', flags.addr) ?? defaultAddr, login)
  const cached = await cache?.read(new Date())
  if (cached !== undefined) {
    try {
      return await present(login, cached)
    } catch (error) {
      // The server shows no reason: the token may be too old, or lack a group that the person has by now.
      if (!(error instanceof PurserError) || error.code !== 'attestation_failed') throw error
      await cache?.forget()
      remark(io, 'The last login is no longer accepted, so a new one is needed')
    }
  }
  const client = await createClient(login)
  const token = await logInByDevice(io, { client, nonce: randomBytes(32).toString('base64url'), signal })
  const result = await present(login, token)
  await cache?.write(token)
  return result
}

/** The login at the named attestor, or the only one. */
async function findLogin(io: Io, flags: Flags): Promise<Login> {
  const { items } = await withApi(io, flags, async (api) => {
    return (await api.call('GET', '/api/v1/logins', { token: null })).body
  })
  const names = items.map(({ attestor }) => attestor).join(', ')
  const attestorName = setting(io, 'PURSER_ATTESTOR', flags.attestor)
  const matches = items.filter(({ attestor }) => attestorName === undefined || attestor === attestorName)
  const [login, ...others] = matches
  if (login && others.length === 0) return login
  if (login) throw usageError(`several attestors have a login: name one with --attestor: ${names}`)
  if (names === '')
    throw usageError('no attestor of this server has a login: an admin sets one with `purser attestor create --login`')
  throw usageError(`the attestor ${attestorName} has no login: use one of ${names}`)
}
