import { createAccounts } from './accounts.ts'
import { createDecideAttested } from './decide.ts'
import { type IssueParts, createIssueCredentials } from './issue.ts'
import { type RenewalParts, createRenewal } from './renewal.ts'

export type CredentialActionParts = Omit<IssueParts, 'accounts' | 'renewal' | 'decideAttested'> & RenewalParts

export function createCredentialActions(parts: CredentialActionParts) {
  return {
    issue: createIssueCredentials({
      ...parts,
      accounts: createAccounts(parts),
      renewal: createRenewal(parts),
      decideAttested: createDecideAttested(parts),
    }),
  }
}
