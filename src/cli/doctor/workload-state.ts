/** Checks PURSER_STATE_DIR, with which a restart continues. Changes nothing. */
import { constants, accessSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { codeOf } from '../io.ts'
import { type Finding, collectOr, fail, modeOf, note, ok } from './finding.ts'
import type { Env } from './workload-server.ts'

const check = 'state'

export function checkStateDirectory({ PURSER_STATE_DIR: dir }: Env): Finding[] {
  if (!dir) {
    return [
      note(check, 'PURSER_STATE_DIR is not set: no state survives a restart', {
        why: 'after a restart the log is trusted on first use again, and the workload needs a new proof',
        do: 'export PURSER_STATE_DIR=/var/lib/purser, on a volume of this workload alone',
      }),
    ]
  }
  const why = 'the SDK keeps the key, the certificate and the newest log head there'
  const stats = statSync(dir, { throwIfNoEntry: false })
  if (!stats) return [note(check, `${dir} does not exist yet: the SDK creates it`)]
  if (!stats.isDirectory())
    return [fail(check, `${dir} is not a directory`, { why, do: 'set PURSER_STATE_DIR to a directory' })]
  const code = accessFault(dir)
  if (code !== undefined) {
    const remedy = `chown it to the workload's user, or set PURSER_STATE_DIR to another directory`
    return [fail(check, `cannot write to ${dir} (${code})`, { why, do: remedy })]
  }
  const files = readdirSync(dir).map((name) => {
    const path = join(dir, name)
    const file = statSync(path, { throwIfNoEntry: false })
    return file?.isFile() ? judgeMode(path, file.mode, '600') : undefined
  })
  return collectOr(ok(check, `${dir}, mode ${modeOf(stats.mode)}`), judgeMode(dir, stats.mode, '700'), ...files)
}

function judgeMode(path: string, mode: number, expected: string): Finding | undefined {
  if ((mode & 0o077) === 0) return undefined
  return fail(check, `${path} has mode ${modeOf(mode)}: others can access it`, {
    why: 'it holds a private key and the newest log head',
    do: `chmod ${expected} ${path}`,
  })
}

function accessFault(dir: string): string | undefined {
  try {
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return codeOf(error) ?? 'unknown'
  }
}
