/** Shows the result of writing a workload entry. */
import type { Schemas } from './api-types.ts'
import type { Io } from './io.ts'
import { type OutputFlags, remark, show, table } from './output.ts'

/** Shows what was written, and the warnings of the server. */
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
