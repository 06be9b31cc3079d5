/** The public log (checkpoints, tiles, log keys), and its redaction and opening by operators. */
import type { Actions } from '../actions/actions.ts'
import { logKeysOf } from '../audit/log-keys.ts'
import { publicHeaders } from './public.ts'
import { rendered } from './rendered.ts'
import { bodyOf, json, noContent } from './request.ts'
import type { ChangeState, Read } from './route-kinds.ts'

export type LogRouteParts = {
  actions: Pick<Actions, 'log'>
  /** Seconds for which clients may cache the list of keys. */
  refresh: number
}

const immutable = { ...publicHeaders(31_536_000), 'cache-control': 'public, max-age=31536000, immutable' }

type Routes = Record<'checkpoint' | 'tile' | 'keys', Read> & Record<'redact' | 'open', ChangeState>

export function createLogRoutes({ actions: { log }, refresh }: LogRouteParts): Routes {
  return {
    checkpoint: async ({ params }) => ({
      headers: publicHeaders(2),
      body: { text: await log.checkpoint(Number(params.epoch)), type: 'text/plain; charset=utf-8' },
    }),

    tile: async ({ params }) => ({
      headers: immutable,
      body: { bytes: await log.tile(Number(params.epoch), params.tilePath ?? ''), type: 'application/octet-stream' },
    }),

    async keys(_, snapshot) {
      const keys = logKeysOf(snapshot).map(({ row, epoch, vkey }) => {
        return { vkey, epoch, from: row.fromSize ?? 0, ...(row.toSize !== undefined && { to: row.toSize }) }
      })
      return json({ keys }, { headers: publicHeaders(refresh) })
    },

    async redact(request, tx) {
      const { epoch, from, to, rule } = bodyOf(request, 'redactEntries')
      const change = await log.redact(request, tx, { epoch, from, to, rule })
      return rendered(change, ({ redacted }) => json({ epoch, from, to, redacted }))
    },

    open: async (request, tx, snapshot) => rendered(await log.open(request, tx, snapshot), () => noContent),
  }
}
