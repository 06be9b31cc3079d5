/** For those who run the server: alive, ready, measured, described. */
import { type DoubtKind, doubts } from '../audit/doubt.ts'
import type { Log } from '../audit/log.ts'
import type { DocsPage } from './docs-page.ts'
import { staleAfterMs } from '../actions/freshness.ts'
import { json } from './request.ts'
import type { Read } from './route-kinds.ts'

export type OperationsParts = {
  log: Pick<Log, 'doubt'>
  /** Milliseconds since the database last confirmed the state. */
  snapshotAge: () => number
  /** Whether appends succeed: the database may answer reads alone, or wait for a standby that is away. */
  appends: () => boolean
  /** True once SIGTERM was heard. */
  draining: () => boolean
  renderMetrics: () => Promise<{ text: string; type: string }>
  /** Bytes rather than text: replies that wait to be read share them. */
  openapiBytes: Buffer
  docs: DocsPage
}

/** Anyone may read it: the facts are in the server's log. */
const inWords = (kind: DoubtKind): string => `${doubts[kind].problem}: ${doubts[kind].do}`

export function createOperationsRoutes(
  parts: OperationsParts,
): Record<'health' | 'ready' | 'metrics' | 'openapi' | 'docs', Read> {
  return {
    health: async () => json({ status: 'ok' }),
    async ready(_, snapshot) {
      const doubt = parts.log.doubt()
      const checks = [
        { name: 'database', ok: parts.snapshotAge() <= staleAfterMs },
        { name: 'appends', ok: parts.appends() },
        { name: 'log', ok: doubt === undefined, ...(doubt && { detail: inWords(doubt.kind) }) },
        { name: 'issuing', ok: snapshot.issuing },
        { name: 'serving', ok: !parts.draining() },
      ]
      const ready = checks.every((check) => check.ok)
      return json({ status: ready ? 'ok' : 'unavailable', checks }, { status: ready ? 200 : 503 })
    },
    metrics: async () => ({ body: await parts.renderMetrics() }),
    openapi: async () => ({ body: { bytes: parts.openapiBytes, type: 'application/yaml' } }),
    docs: async () => ({
      headers: { 'content-security-policy': parts.docs.policy },
      body: { bytes: parts.docs.bytes, type: 'text/html; charset=utf-8' },
    }),
  }
}
