/** PURSER_STATE_DIR: what a restart goes on with. Looked at and left as it is. */
import { constants, accessSync, readdirSync, statSync } from 'node:fs'
import { join } from 'node:path'
import { type Finding, codeOf, fail, modeOf, note, ok } from './finding.ts'
import type { Env } from './workload-server.ts'

const check = 'state'

export function lookAtStateDirectory({ PURSER_STATE_DIR: dir }: Env): Finding[] {
  if (!dir) {
    return [
      note(check, 'PURSER_STATE_DIR is not set: nothing is kept over a restart', {
        why: 'after one the log is trusted on first use again, and the orchestrator must be there to prove anew',
        do: 'export PURSER_STATE_DIR=/var/lib/purser, a volume of this workload alone',
      }),
    ]
  }
  const why = 'the SDK keeps key, certificate and the log’s newest head there'
  const stats = statSync(dir, { throwIfNoEntry: false })
  if (!stats) return [note(check, `${dir} is not there yet: the SDK makes it`)]
  if (!stats.isDirectory())
    return [fail(check, `${dir} is no directory`, { why, do: 'name another in PURSER_STATE_DIR' })]
  const shut = accessFault(dir)
  if (shut !== undefined) {
    const remedy = `chown it to the workload's user, or name another in PURSER_STATE_DIR`
    return [fail(check, `${dir} can't be written (${shut})`, { why, do: remedy })]
  }
  const findings = [
    ...((stats.mode & 0o077) === 0 ? [] : [open(dir, stats.mode, '700')]),
    ...readdirSync(dir).flatMap((name): Finding[] => {
      const path = join(dir, name)
      const file = statSync(path, { throwIfNoEntry: false })
      return !file?.isFile() || (file.mode & 0o077) === 0 ? [] : [open(path, file.mode, '600')]
    }),
  ]
  return findings.length > 0 ? findings : [ok(check, `${dir}, mode ${modeOf(stats.mode)}`)]
}

const open = (path: string, mode: number, should: string): Finding =>
  fail(check, `${path} has mode ${modeOf(mode)}: others may use it`, {
    why: 'a private key and what the log is judged by are in there',
    do: `chmod ${should} ${path}`,
  })

function accessFault(dir: string): string | undefined {
  try {
    accessSync(dir, constants.R_OK | constants.W_OK | constants.X_OK)
    return undefined
  } catch (error) {
    return codeOf(error) ?? 'unknown'
  }
}
