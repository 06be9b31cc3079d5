/** The verbs of the command, by group. A process loads the modules of the verb that it runs. */
import type { Command } from 'commander'
import type { Io } from './io.ts'

type AddVerb = (program: Command, io: Io) => void

/** In the order of the help. */
export const verbs: Record<string, Record<string, () => Promise<AddVerb>>> = {
  'Run a server': {
    serve: async () => (await import('./serve.ts')).addServe,
    dev: async () => (await import('./dev.ts')).addDev,
    demo: async () => (await import('./demo.ts')).addDemo,
    migrate: async () => (await import('./migrate.ts')).addMigrate,
    'root-key': async () => (await import('./root-key.ts')).addRootKey,
    bootstrap: async () => (await import('./bootstrap.ts')).addBootstrap,
    backup: async () => (await import('./backup.ts')).addBackup,
    health: async () => (await import('./health.ts')).addHealth,
    doctor: async () => (await import('./doctor.ts')).addDoctor,
  },
  'For workloads': {
    credentials: async () => (await import('./credentials.ts')).addCredentials,
    exec: async () => (await import('./exec.ts')).addExec,
    jwt: async () => (await import('./jwt.ts')).addJwt,
    whoami: async () => (await import('./whoami.ts')).addWhoami,
    verify: async () => (await import('./verify.ts')).addVerify,
  },
  'For operators': {
    login: async () => (await import('./login.ts')).addLogin,
    logout: async () => (await import('./login.ts')).addLogout,
    context: async () => (await import('./context.ts')).addContext,
    workload: async () => (await import('./workload.ts')).addWorkload,
    attestor: async () => (await import('./attestor.ts')).addAttestor,
    database: async () => (await import('./database.ts')).addDatabase,
    lease: async () => (await import('./lease.ts')).addLease,
    secret: async () => (await import('./secret.ts')).addSecret,
    'join-token': async () => (await import('./join-token.ts')).addJoinToken,
    explain: async () => (await import('./explain.ts')).addExplain,
    revoke: async () => (await import('./revoke.ts')).addRevoke,
    revocation: async () => (await import('./revocation.ts')).addRevocation,
    contain: async () => (await import('./contain.ts')).addContain,
    approval: async () => (await import('./approval.ts')).addApproval,
    keys: async () => (await import('./keys.ts')).addKeys,
    operator: async () => (await import('./operator.ts')).addOperator,
    token: async () => (await import('./token.ts')).addToken,
    log: async () => (await import('./log.ts')).addLog,
  },
  'Configuration as code': {
    plan: async () => (await import('./configuration/plan-command.ts')).addPlan,
    apply: async () => (await import('./configuration/apply-command.ts')).addApplyConfiguration,
    export: async () => (await import('./configuration/export-command.ts')).addExport,
    policy: async () => (await import('./configuration/policy-command.ts')).addPolicy,
    schema: async () => (await import('./configuration/schema-command.ts')).addSchema,
  },
  'For auditors': {
    audit: async () => (await import('./audit.ts')).addAudit,
  },
  'For your shell': {
    completion: async () => (await import('./completion.ts')).addCompletion,
  },
}
