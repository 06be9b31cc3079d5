/** Why nothing may be issued or signed. */

/** By kind: what is wrong, in words that hold no fact of a deployment, and what to do. */
export const doubts = {
  unread: {
    what: 'the newest head that is kept outside the database is not read yet',
    do: 'wait; if it stays so, look for log.head_failed in the server’s log',
  },
  rollback: {
    what: 'the database is older than a known head of its log',
    do: 'restore the newest database and restart every replica; if this is the newest: stop every replica, then run `purser log new-epoch`',
  },
  epoch: { what: 'the log began a new epoch', do: 'restart this replica' },
} as const

export type DoubtKind = keyof typeof doubts

/** `detail` is for operators. Unless `forGood`, a later look may end the doubt. */
export type Doubt = { kind: DoubtKind; detail: string; forGood: boolean }

export const rollback = (detail: string): Doubt => ({ kind: 'rollback', detail, forGood: true })
