/** Runs `purser doctor` on a broken set-up. */
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'
import type { Finding } from '../../src/cli/doctor/finding.ts'
import { type CommandResult, cli } from './cli.ts'
import { audience, trustDomain } from './purser.ts'

export type Env = Record<string, string | undefined>

/** A folder of this test's own, of mode 0700. */
export function folder(): string {
  const path = mkdtempSync(join(tmpdir(), 'purser-doctor-test-'))
  onTestFinished(() => rmSync(path, { recursive: true, force: true }))
  return path
}

/** Settings of a server without a fault, on the embedded store, with a port of the system's choice. */
export const settings = (dataDir: string): Env => ({
  PURSER_TRUST_DOMAIN: trustDomain,
  PURSER_PUBLIC_URL: audience,
  PURSER_LISTEN: '127.0.0.1:0',
  PURSER_DATA_DIR: dataDir,
})

export type Diagnosis = CommandResult & { first: string }

/** `first` is the first line, its columns separated by two spaces. */
export async function diagnose(env: Env, ...argv: string[]): Promise<Diagnosis> {
  const result = await cli(['doctor', ...argv], { env })
  return { ...result, first: (result.out.split('\n')[0] ?? '').replaceAll(/ {2,}/g, '  ') }
}

export async function findingsOf(env: Env, ...argv: string[]): Promise<Finding[]> {
  const { out } = await cli(['doctor', '--output', 'json', ...argv], { env })
  return (JSON.parse(out) as { findings: Finding[] }).findings
}
