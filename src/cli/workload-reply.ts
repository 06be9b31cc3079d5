/** A workload entry as the API answers it, and how a write of one is shown. */
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { type OutputFlags, remark, show, table } from './output.ts'

/** What a write did, and what is probably not meant by it. */
export function showWritten(
  io: Io,
  flags: OutputFlags,
  { body: workload, logIndex }: { body: Schemas['Workload']; logIndex: string | undefined },
  did: string,
): void {
  for (const { code, detail, workload: other } of workload.warnings ?? []) {
    remark(io, `warning: ${code}${other === undefined ? '' : ` (${other})`}: ${detail}`)
  }
  show(io, flags, workload, ({ name, spiffeId, revision }) =>
    table([[`workload ${name} ${did}`, spiffeId, `revision ${revision}`, `log ${logIndex}`]]),
  )
}
