/** A workload entry as the API answers it, and how a write of one is shown. */
import { segment } from './api.ts'
import type { Io } from './io.ts'
import type { Facts } from './options.ts'
import { type OutputFlags, remark, show, table } from './output.ts'

export type Workload = {
  id: string
  name: string
  attestor: string
  match?: Facts
  spiffeId: string
  grants: Record<string, unknown>
  disabled: boolean
  revision: number
  warnings?: { code: string; detail: string; workload?: string }[]
}

export const pathOf = (name: string): string => `/api/v1/workloads/${segment(name)}`

/** What a write did, and what is probably not meant by it. */
export function showWritten(
  io: Io,
  flags: OutputFlags,
  workload: Workload,
  did: string,
  index: string | string[] | undefined,
): void {
  for (const { code, detail, workload: other } of workload.warnings ?? []) {
    remark(io, `warning: ${code}${other === undefined ? '' : ` (${other})`}: ${detail}`)
  }
  show(io, flags, workload, ({ name, spiffeId, revision }) =>
    table([[`workload ${name} ${did}`, spiffeId, `revision ${revision}`, `log ${String(index)}`]]),
  )
}
