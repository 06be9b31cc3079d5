/** What readers do with a password: they log in, and stay. So what is called retired later has open connections to end. */
import type { Client } from 'pg'
import type { TargetServer } from '../../../support/target.ts'

export type Login = { username: string; password: string; isOpen: boolean }

export type Logins = {
  /** Logs in with a value, once. Answers whether the server took it, then or earlier. */
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
      // Whether it ought to have been taken is asked of the database of Purser.
    }
    return login
  }

  const taken = new Set<Login & { client?: Client }>()
  return {
    async take({ username, password }) {
      const key = JSON.stringify([username, password])
      const login = await (logins.get(key) ?? open(username, password))
      // One that was refused is tried again.
      if (login.client) {
        logins.set(key, Promise.resolve(login))
        taken.add(login)
      }
      return login.client !== undefined
    },
    all: () => [...taken],
    async close() {
      await Promise.all([...taken].map(async (login) => login.client?.end().catch(() => undefined)))
    },
  }
}
