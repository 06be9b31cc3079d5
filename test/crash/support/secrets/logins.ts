/** Readers log in with a password and stay connected, so that retiring a value must end open connections. */
import type { Client } from 'pg'
import type { TargetServer } from '../../../support/target.ts'

export type Login = { username: string; password: string; isOpen: boolean }

export type Logins = {
  /** Logs in with a value once. Returns whether the server accepted it, now or earlier. */
  take(value: { username: string; password: string }): Promise<boolean>
  all(): Login[]
  close(): Promise<void>
}

export function createLogins(target: Pick<TargetServer, 'login'>): Logins {
  const logins = new Map<string, Promise<Login & { client?: Client }>>()

  async function open(username: string, password: string): Promise<Login & { client?: Client }> {
    const login: Login & { client?: Client } = { username, password, isOpen: false }
    try {
      const client = await target.login(username, password)
      client.once('end', () => void (login.isOpen = false))
      login.isOpen = true
      login.client = client
    } catch {
      // The database of Purser says whether the login should have been accepted.
    }
    return login
  }

  const accepted = new Set<Login & { client?: Client }>()
  return {
    async take({ username, password }) {
      const key = JSON.stringify([username, password])
      const login = await (logins.get(key) ?? open(username, password))
      // A refused login is tried again.
      if (login.client) {
        logins.set(key, Promise.resolve(login))
        accepted.add(login)
      }
      return login.client !== undefined
    },
    all: () => [...accepted],
    async close() {
      await Promise.all([...accepted].map(async (login) => login.client?.end().catch(() => undefined)))
    },
  }
}
