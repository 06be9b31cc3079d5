type Lifetimes = Partial<Record<'defaultLifetimeSeconds' | 'maxLifetimeSeconds', number | undefined>>

/** The defaults of a database. The command line completes definitions with them, to compare them with the server's. */
export const databaseDefaults = ({ defaultLifetimeSeconds, maxLifetimeSeconds }: Lifetimes) => ({
  port: 5432,
  defaultLifetimeSeconds: Math.min(3600, maxLifetimeSeconds ?? 3600),
  maxLifetimeSeconds: Math.max(86_400, defaultLifetimeSeconds ?? 0),
})
