/** `purser audit`: what was given, to whom and why, and whether the record of it can be believed. */
import type { Command } from 'commander'
import { addExport } from './audit/export.ts'
import { addSearch } from './audit/search.ts'
import { addVerify } from './audit/verify.ts'
import type { Io } from './io.ts'

export function addAudit(program: Command, io: Io): void {
  const group = program.command('audit').summary('search the log, export it, verify it')
  addSearch(group, io)
  addExport(group, io)
  addVerify(group, io)
}
