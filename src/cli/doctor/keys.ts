/** Checks the life cycle of each kind of key, and that signing keys decrypt. */
import type { Config } from '../../config.ts'
import type { Keyring } from '../../keys/keyring.ts'
import { createKeys, isRequested, signingKey } from '../../keys/keys.ts'
import { after } from '../../keys/lifetimes.ts'
import { type Plan, type Warning, planRotation, underUpstream } from '../../keys/rotation.ts'
import type { Knex } from '../../store/database.ts'
import { readKeys } from '../../store/keys.ts'
import type { Head } from '../../store/log.ts'
import type { KeyKind, KeyRow } from '../../store/rows.ts'
import { type Finding, collect, collectOr, fail, note, ok, warn } from './finding.ts'

const check = 'keys'
const issuing = ['issuing-ca', 'jwt-es256', 'jwt-rs256'] as const
const all = ['root-ca', ...issuing, 'mac'] as const

type Parts = { config: Config; head: Head; keyring: Keyring | undefined; now: Date; serving: boolean }

export async function checkKeys(knex: Knex, parts: Parts): Promise<Finding[]> {
  const rows = await readKeys(knex)
  const kinds = all.map((kind) => `${kind} until ${day(signerOf(rows, kind, parts.now)?.retireAt)}`)
  return collectOr(
    ok(check, kinds.filter((kind) => !kind.endsWith('-')).join(', ')),
    judgeKeys(rows, parts),
    parts.keyring && decryptEach(rows, parts.keyring, parts.now),
  )
}

function judgeKeys(rows: readonly KeyRow[], parts: Omit<Parts, 'keyring'>): Finding[] {
  const { config, head, now, serving } = parts
  const plan = planRotation(rows, config.keys, now)
  const absent = all.filter((kind) => signerOf(rows, kind, now) === undefined)
  return collect(
    absent.map((kind) => noSigner(kind, rows)),
    judgeLogKey(rows, head.epoch),
    ...issuing.filter((kind) => !absent.includes(kind)).map((kind) => overdue(kind, rows, plan, parts)),
    plan.warnings.filter((warning) => warning.at > now).map((warning) => endsSoon(warning, now)),
    !serving && upcomingKeys(plan, now),
  )
}

const signerOf = (rows: readonly KeyRow[], kind: KeyKind, now: Date): KeyRow | undefined =>
  signingKey({ keys: new Map(rows.map((row) => [row.id, row])) }, kind, now)

const day = (time: Date | undefined): string =>
  time === undefined || time.getUTCFullYear() > 9000 ? '-' : time.toISOString().slice(0, 16).replace('T', ' ')

function noSigner(kind: KeyKind, rows: readonly KeyRow[]): Finding {
  const [newest] = rows
    .filter((row) => row.kind === kind && !row.withdrawnAt && !isRequested(row))
    .sort((a, b) => b.goneAt.getTime() - a.goneAt.getTime())
  const end = newest ? `: the last one ended ${day(newest.goneAt)}` : ''
  const why = 'nothing that it signs can be issued'
  if (kind === 'issuing-ca' && underUpstream(rows)) {
    const remedy = 'purser keys csr > purser.csr, let your CA sign it, then: purser keys import'
    return fail(check, `the imported issuing-ca has expired${end}`, { why, do: remedy })
  }
  if (kind === 'root-ca') {
    const remedy = 'purser keys rotate ca --level root, and give clients the new roots'
    return fail(check, `no root-ca is valid${end}`, { why: 'no certificate can be issued or verified', do: remedy })
  }
  return fail(check, `no ${kind} signs${end}`, { why, do: 'start a server: it creates the next one within a second' })
}

function judgeLogKey(rows: readonly KeyRow[], epoch: number): Finding | undefined {
  if (rows.some((row) => row.kind === 'log' && row.epoch === epoch && row.toSize === undefined)) return undefined
  const why = 'no head can be signed, so nothing is issued'
  return fail(check, `no log key signs in epoch ${epoch}`, { why, do: 'restore the newest backup of the database' })
}

/** How long a server may be late with the next key before it counts as overdue. */
const graceSeconds = 120

function overdue(
  kind: KeyKind,
  rows: readonly KeyRow[],
  plan: Plan,
  { config, now, serving }: Omit<Parts, 'keyring'>,
): Finding | undefined {
  if (kind === 'issuing-ca' && underUpstream(rows)) return undefined
  const row = signerOf(rows, kind, now)
  if (!row || !plan.actions.some((action) => action.do === 'make' && action.kind === kind)) return undefined
  const due = after(row.retireAt, -config.keys.publish)
  if (now < after(due, graceSeconds)) return undefined
  const passed = row.retireAt <= now
  const what = passed
    ? `rotation of ${kind} is overdue since ${day(row.retireAt)}`
    : `the next ${kind} is missing: it was due ${day(due)}`
  const remedy = serving
    ? "look for job.failed in the server's log, or rotate by hand: purser keys rotate " +
      (kind === 'issuing-ca' ? 'ca' : 'jwt')
    : 'start a server: it creates the next one within a second'
  const why = `issuing with it ends ${day(row.goneAt)}`
  return (passed ? fail : warn)(check, what, { why, do: remedy })
}

/** Keys that are due soon, and that only a running server creates. */
function upcomingKeys({ actions }: Plan, now: Date): Finding | undefined {
  const kinds = actions.flatMap((action) => (action.do === 'make' && action.activeAt > now ? [action.kind] : []))
  if (kinds.length === 0) return undefined
  return note(check, `the next ${kinds.join(', ')} will be created when a server starts`)
}

function endsSoon({ what, at }: Warning, now: Date): Finding {
  const days = Math.floor((at.getTime() - now.getTime()) / 86_400_000)
  const remaining = `${day(at)}, in ${days} days`
  if (what === 'chain_ends') {
    const remedy = 'purser keys csr > purser.csr, let your CA sign it, then: purser keys import'
    const why = 'it is not replaced automatically, and no certificate is issued after it'
    return warn(check, `the imported issuing-ca ends ${remaining}`, { why, do: remedy })
  }
  const why = 'no issuing key can outlive it'
  return warn(check, `the root-ca ends ${remaining}`, { why, do: 'purser keys rotate ca --level root' })
}

/** A row that was moved or changed does not decrypt. */
function decryptEach(rows: readonly KeyRow[], keyring: Keyring, now: Date): Finding[] {
  const keys = createKeys(keyring)
  const snapshot = { keys: new Map(rows.map((row) => [row.id, row])) }
  return all.flatMap((kind): Finding[] => {
    const row = signingKey(snapshot, kind, now)
    if (!row) return []
    try {
      if (kind === 'root-ca' || kind === 'issuing-ca') keys.ca(row)
      else keys.signing(snapshot, kind, now)
      return []
    } catch {
      const remedy = `restore the newest backup and find out who can write to the database, or replace the key: purser keys rotate`
      const why = 'its row was moved or changed, and nothing that it signs can be issued'
      return [fail(check, `the private key of ${kind} ${row.id} does not decrypt`, { why, do: remedy })]
    }
  })
}
