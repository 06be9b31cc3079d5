import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { onTestFinished } from 'vitest'

export type OpensslResult = { ok: boolean; output: string }

/** Runs the openssl binary; `ok` is its exit code, `output` both streams. */
export function openssl(args: string[], input = ''): OpensslResult {
  const { status, stdout, stderr, error } = spawnSync('openssl', args, { input, encoding: 'utf8' })
  if (error) throw error
  return { ok: status === 0, output: stdout + stderr }
}

/** Its standard output; throws when openssl fails. */
export function opensslOutput(args: string[], input = ''): string {
  const { status, stdout, stderr, error } = spawnSync('openssl', args, { input, encoding: 'utf8' })
  if (error) throw error
  if (status !== 0) throw new Error(`openssl ${args.join(' ')}: ${stderr}`)
  return stdout
}

/** A folder that is removed with the test, and a function that writes a file into it. */
export function scratch(): (name: string, content?: string | Buffer) => string {
  const folder = mkdtempSync(join(tmpdir(), 'purser-test-'))
  onTestFinished(() => rmSync(folder, { recursive: true, force: true }))
  return (name, content) => {
    const path = join(folder, name)
    if (content !== undefined) writeFileSync(path, content)
    return path
  }
}
