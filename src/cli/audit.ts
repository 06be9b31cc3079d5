/** `purser audit`: searches, exports and verifies the audit log. */
import type { Command } from 'commander'
import { addExport } from './audit/export.ts'
import { addSearch } from './audit/search.ts'
import { addVerify } from './audit/verify.ts'
import type { Io } from './io.ts'

export function addAudit(program: Command, io: Io): void {
  const group = program.command('audit').summary('search, export and verify the audit log')
  addSearch(group, io)
  addExport(group, io)
  addVerify(group, io)
}
