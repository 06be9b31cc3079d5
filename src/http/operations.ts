/** Routes for the operation of the server: health, readiness, metrics, API description. */
import { type DoubtKind, doubts } from '../audit/doubt.ts'
import type { Log } from '../audit/log.ts'
import type { DocsPage } from './docs-page.ts'
import type { LoginPage } from './login-page.ts'
import { staleAfterMs } from '../actions/freshness.ts'
import { json } from './request.ts'
import type { Read } from './route-kinds.ts'

export type OperationsParts = {
  log: Pick<Log, 'doubt'>
  /** Milliseconds since the database last confirmed the state. */
  snapshotAge: () => number
  /** Whether appends succeed. A database may serve reads only, or wait for an absent standby. */
  appends: () => boolean
  /** True after SIGTERM. */
  draining: () => boolean
  renderMetrics: () => Promise<{ text: string; type: string }>
  /** Bytes, which pending replies share. */
  openapiBytes: Buffer
  docs: () => DocsPage
  loginPage: () => LoginPage
}

/** Without facts, since the route is public. The server's log has them. */
const doubtInWords = (kind: DoubtKind): string => `${doubts[kind].problem}: ${doubts[kind].do}`

export function createOperationsRoutes(
  parts: OperationsParts,
): Record<'health' | 'ready' | 'metrics' | 'openapi' | 'docs' | 'login' | 'loginScript', Read> {
  return {
    health: async () => json({ status: 'ok' }),
    async ready(_, snapshot) {
      const doubt = parts.log.doubt()
      const checks = [
        { name: 'database', ok: parts.snapshotAge() <= staleAfterMs },
        { name: 'appends', ok: parts.appends() },
        { name: 'log', ok: doubt === undefined, ...(doubt && { detail: doubtInWords(doubt.kind) }) },
        { name: 'issuing', ok: snapshot.issuing },
        { name: 'serving', ok: !parts.draining() },
      ]
      const ready = checks.every((check) => check.ok)
      return json({ status: ready ? 'ok' : 'unavailable', checks }, { status: ready ? 200 : 503 })
    },
    metrics: async () => ({ body: await parts.renderMetrics() }),
    openapi: async () => ({ body: { bytes: parts.openapiBytes, type: 'application/yaml' } }),
    async docs() {
      const { bytes, policy } = parts.docs()
      return { headers: { 'content-security-policy': policy }, body: { bytes, type: 'text/html; charset=utf-8' } }
    },
    async login() {
      const { html: bytes, policy } = parts.loginPage()
      return { headers: { 'content-security-policy': policy }, body: { bytes, type: 'text/html; charset=utf-8' } }
    },
    loginScript: async () => ({
      body: { bytes: parts.loginPage().script, type: 'text/javascript; charset=utf-8' },
    }),
  }
}
