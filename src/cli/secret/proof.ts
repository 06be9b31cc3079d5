/** Proves what each consumer holds by its log entry, verified offline with the public key of the log. */
import { VerifyError, verifyReceipt } from '@purser/sdk/verify'
import type { Issued } from '../../store/issued.ts'
import type { Api } from '../api.ts'
import type { ItemOf, Schemas } from '../api-types.ts'
import { type Io, usageError } from '../io.ts'
import { actorName, table } from '../output.ts'

/** `purser audit verify` accepts `receipt`; `problem` says why there is no proof. */
export type Proof = { epoch: number; index: number; receipt: Schemas['ProvenEntry'] } | { problem: string }
type Consumer = Schemas['Consumer']
export type Proven = Consumer & { proof: Proof }

type Item = ItemOf<'/api/v1/audit/entries'>

/** @throws CliError without a key from outside: a key from the server itself proves nothing */
export function logKeys({ env }: Pick<Io, 'env'>): string[] {
  const keys = (env.PURSER_LOG_KEY ?? '').split(/[\s,]+/).filter((key) => key !== '')
  if (keys.length > 0) return keys
  throw usageError("--proof needs the log's public key in PURSER_LOG_KEY; /log/keys lists it")
}

export const prove = (
  api: Pick<Api, 'call'>,
  path: string,
  consumers: readonly Consumer[],
  vkeys: readonly string[],
): Promise<Proven[]> =>
  Promise.all(
    consumers.map(async (consumer) =>
      Object.assign({}, consumer, { proof: await proofOf(api, path, consumer, vkeys) }),
    ),
  )

async function proofOf(
  api: Pick<Api, 'call'>,
  path: string,
  consumer: Consumer,
  vkeys: readonly string[],
): Promise<Proof> {
  const item = await findEntry(api, path, consumer)
  if (!item) return { problem: 'the log has no entry for it' }
  const { epoch, index } = item
  const { body: receipt } = await api.call('GET', '/api/v1/audit/entries/{epoch}/{index}', { path: { epoch, index } })
  try {
    const { entry } = verifyReceipt(receipt, { vkeys })
    return records(entry, path, consumer)
      ? { epoch, index, receipt }
      : { problem: `entry ${index} records something else` }
  } catch (error) {
    if (error instanceof VerifyError && error.code === 'bad_key') throw usageError(`PURSER_LOG_KEY: ${error.message}`)
    if (error instanceof VerifyError) return { problem: `entry ${index} does not verify (${error.code})` }
    throw error
  }
}

/** The newest entry that issued this version to this consumer. The server finds it; it counts once verified. */
async function findEntry(api: Pick<Api, 'call'>, path: string, consumer: Consumer): Promise<Item | undefined> {
  const { holder } = consumer
  const who = holder.startsWith('ses_') ? { session: holder } : { actor: actorName(holder) }
  let cursor: string | undefined
  do {
    const query = { ...who, path, outcome: 'granted', order: 'desc', limit: 200, cursor } as const
    const { body }: { body: Schemas['EntryList'] } = await api.call('GET', '/api/v1/audit/entries', { query })
    const item = body.items.find(({ entry }) => entry && records(entry, path, consumer))
    if (item) return item
    cursor = body.nextCursor ?? undefined
  } while (cursor !== undefined)
  return undefined
}

function records(entry: Record<string, unknown>, path: string, { holder, version }: Consumer): boolean {
  const { actor, issued }: { actor?: Partial<Schemas['Entry']['actor']>; issued?: Issued } = entry
  const who = actor?.session ?? `operator:${actor?.operator ?? ''}`
  return who === holder && (issued?.secrets ?? []).some((secret) => secret.path === path && secret.version === version)
}

export const isProven = ({ proof }: Proven): boolean => !('problem' in proof)

export const proofTable = (items: readonly Proven[]): string =>
  table(
    items
      .toSorted((a, b) => a.version - b.version)
      .map((item) => [
        item.pod ?? item.job ?? item.workload ?? '',
        actorName(item.holder),
        String(item.version),
        'problem' in item.proof ? 'NO PROOF' : `entry ${item.proof.index}`,
        'problem' in item.proof ? item.proof.problem : 'verified',
      ]),
    ['WHO', 'HOLDER', 'VERSION', 'ENTRY', 'PROOF'],
  )
