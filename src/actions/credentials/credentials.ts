import type { Recorder } from '../../audit/record.ts'
import type { Logger } from '../../telemetry/log.ts'
import type { FindSession } from '../sessions/find.ts'
import { createAccounts } from './accounts.ts'
import { createDecideAttested } from './decide.ts'
import { type IssueParts, createIssueCredentials } from './issue.ts'
import { createRenewal } from './renewal.ts'

export type CredentialActionParts = Omit<IssueParts, 'accounts' | 'renewal' | 'decideAttested'> & {
  recorder: Pick<Recorder, 'change'>
  logger: Pick<Logger, 'warn'>
  randomBytes: (size: number) => Buffer
}

export function createCredentialActions(parts: CredentialActionParts, sessions: FindSession) {
  return {
    issue: createIssueCredentials({
      ...parts,
      accounts: createAccounts(parts),
      renewal: createRenewal({ ...parts, sessions }),
      decideAttested: createDecideAttested(parts),
    }),
  }
}

export type CredentialActions = ReturnType<typeof createCredentialActions>
