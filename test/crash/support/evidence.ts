/** Evidence of clients: what they received, checked on arrival and stored for the comparison with the surviving log. */
import { X509Certificate, createHash } from 'node:crypto'
import { type Vkeys, openCheckpoint, verifyReceipt } from '@purser/sdk/verify'
import type { Answered } from './connection.ts'

/** A signed head that a client received. */
export type Head = { size: number; root: string }
/** A reply with credentials: the position and leaf of its entry, which identify the whole entry. */
type IssuedReply = { index: number; leaf: string; requestId: string }
/** A confirmed change of state; `granted` by default. */
type Changed = { index: number; action: string; name: string; outcome?: 'intended' }
/** A role that a client received. */
type GivenLease = { id: string; username: string; password: string }

export type Evidence = {
  issuedReplies: IssuedReply[]
  changed: Changed[]
  /** Roots by size. Two roots for one size are a fork. */
  heads: Map<number, string>
  /** The values that clients received, as JSON, by path and version. */
  values: Map<string, Map<number, string>>
  leases: GivenLease[]
  /** Faults that a client found in a reply. */
  faults: string[]
  /** Records a reply of POST /api/v1/credentials or /api/v1/secrets:read, and returns the head in its receipt. */
  take(reply: Answered, since?: Head): Head | undefined
  sawCheckpoint(note: string): Head
}

type Credentials = {
  x509?: { certificateChain: string; serialNumber?: string }
  jwts?: { token: string }[]
  accessToken?: { token: string }
  secrets?: { path: string; version: number; data: unknown }[]
  databases?: { name: string; lease: string; username: string; password: string }[]
  receipt: unknown
}
type IssuedEntry = {
  requestId: string
  issued?: {
    x509?: { sha256: string }
    jwts?: { jti: string }[]
    accessToken?: { id: string }
    secrets?: { path: string; version: number }[]
    leases?: { id: string; database: string; username: string }[]
  }
}

const jtiOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).jti

/** `origin` is the log's name. */
export function createEvidence(vkeys: Vkeys, origin: string): Evidence {
  const issuedReplies: IssuedReply[] = []
  const heads = new Map<number, string>()
  const faults: string[] = []
  const values: Evidence['values'] = new Map()
  const leases: GivenLease[] = []

  function keepHead({ size, root }: { size: number; root: Uint8Array }): Head {
    const head = { size, root: Buffer.from(root).toString('base64') }
    const before = heads.get(size)
    if (before !== undefined && before !== head.root) faults.push(`two heads of size ${size}: the log forked`)
    heads.set(size, head.root)
    return head
  }

  /** The credentials of the reply must be those of the entry. */
  function compare(body: Credentials, { issued }: IssuedEntry): void {
    if (body.x509) {
      const der = new X509Certificate(body.x509.certificateChain).raw
      const sha256 = createHash('sha256').update(der)
      if (issued?.x509?.sha256 !== sha256.digest('hex')) throw new Error('the entry names another certificate')
    }
    const jtis = (body.jwts ?? []).map((jwt) => jtiOf(jwt.token))
    if (JSON.stringify(jtis) !== JSON.stringify((issued?.jwts ?? []).map((jwt) => jwt.jti)))
      throw new Error('the entry names other JWTs')
    if ((body.accessToken === undefined) !== (issued?.accessToken === undefined))
      throw new Error('the entry and the reply differ about an access token')
    const read = (body.secrets ?? []).map(({ path, version }) => `${path} ${version}`)
    if (String(read) !== String((issued?.secrets ?? []).map(({ path, version }) => `${path} ${version}`)))
      throw new Error('the entry names other secrets')
    const pairs = (body.databases ?? []).map(({ lease, name, username }) => `${lease} ${name} ${username}`)
    if (
      String(pairs) !== String((issued?.leases ?? []).map((lease) => `${lease.id} ${lease.database} ${lease.username}`))
    )
      throw new Error('the entry names other leases')
  }

  /** A path and a version always name the same value. */
  function keepValues({ secrets = [], databases = [] }: Credentials): void {
    for (const { path, version, data } of secrets) {
      const versions = values.get(path) ?? new Map<number, string>()
      values.set(path, versions)
      const value = JSON.stringify(data)
      const before = versions.get(version)
      if (before !== undefined && before !== value) faults.push(`${path} has two values of version ${version}`)
      versions.set(version, value)
    }
    for (const { lease: id, username, password } of databases) leases.push({ id, username, password })
  }

  return {
    issuedReplies,
    changed: [],
    heads,
    values,
    leases,
    faults,
    take(reply, since) {
      try {
        const body: Credentials = JSON.parse(reply.text)
        const verified = verifyReceipt(body.receipt, { vkeys, origin, ...(since && { since }) })
        const entry = verified.entry as IssuedEntry
        if (entry.requestId !== reply.headers['purser-request-id']) throw new Error('the entry is of another request')
        if (reply.headers['purser-log-index'] !== `${verified.epoch}/${verified.index}`)
          throw new Error('header and receipt name different indexes')
        compare(body, entry)
        keepValues(body)
        issuedReplies.push({
          index: verified.index,
          leaf: verified.leaf.toString('base64'),
          requestId: entry.requestId,
        })
        return keepHead(verified.checkpoint)
      } catch (error) {
        faults.push(`a reply with credentials or values: ${String(error)}`)
        return undefined
      }
    },
    sawCheckpoint: (note) => keepHead(openCheckpoint(note, vkeys)),
  }
}
