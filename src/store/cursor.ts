/** Reads many rows in pages, so that no more than a page of them is in memory twice. */
import type { Knex } from 'knex'

/** A transaction whose queries all see the same state. */
export const inOneSnapshot = { isolationLevel: 'repeatable read', readOnly: true } as const

const pageRows = 5_000

/** @param tx one cursor at a time */
export async function* pagesOf<R>(
  tx: Knex,
  query: string,
  bindings: readonly Knex.RawBinding[] = [],
): AsyncGenerator<R[]> {
  // A busy process may pause for longer than a transaction that holds locks may.
  await tx.raw('set local idle_in_transaction_session_timeout = 0')
  await tx.raw(`declare page_rows no scroll cursor for ${query}`, bindings)
  for (;;) {
    const { rows } = await tx.raw<{ rows: R[] }>(`fetch ${pageRows} from page_rows`)
    if (rows.length > 0) yield rows
    if (rows.length < pageRows) break
  }
  await tx.raw('close page_rows')
}
