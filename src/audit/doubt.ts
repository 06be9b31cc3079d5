/** Why nothing may be issued or signed. */

/** The problem and the remedy of each kind, in texts without facts of a deployment. */
export const doubts = {
  unread: {
    problem: 'the newest head that is kept outside the database is not read yet',
    do: 'wait; if this persists, look for log.head_failed in the server’s log',
  },
  rollback: {
    problem: 'the database is older than a known head of its log',
    do: 'restore the newest database and restart every replica; if this is the newest: stop every replica, then run `purser log new-epoch`',
  },
  failover: {
    problem: 'the log was written on another database server: entries may be lost',
    do: 'if the fail-over lost nothing, run `purser log accept-failover --reason "…"`; otherwise stop every replica and run `purser log new-epoch`',
  },
  asynchronous: {
    problem: 'PURSER_DATABASE_FAILOVER is synchronous, and synchronous_standby_names is empty',
    do: 'connect a standby and name it in synchronous_standby_names, or set PURSER_DATABASE_FAILOVER=confirm',
  },
  hidden: {
    problem: 'Postgres hides its system identifier or timeline, so a fail-over could not be detected',
    do: 'grant execute on pg_control_system, pg_walfile_name and pg_current_wal_lsn, or set PURSER_DATABASE_FAILOVER=unchecked where the provider promises that a fail-over loses no commit',
  },
  epoch: { problem: 'the log began a new epoch', do: 'restart this replica' },
} as const

export type DoubtKind = keyof typeof doubts

/** `detail` is for operators. A later check may end a doubt that is not `permanent`. */
export type Doubt = { kind: DoubtKind; detail: string; permanent: boolean }

export const rollback = (detail: string): Doubt => ({ kind: 'rollback', detail, permanent: true })
