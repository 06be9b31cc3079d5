/** What clients were given, checked as it arrives, and kept to be held against the log that survives. */
import { X509Certificate, createHash } from 'node:crypto'
import { type Vkeys, openCheckpoint, verifyReceipt } from '@purser/sdk/verify'
import type { Answered } from './connection.ts'

/** A signed head that somebody saw. */
export type Head = { size: number; root: string }
/** One reply with credentials: its entry's place and leaf, by which the whole entry is known. */
type Given = { index: number; leaf: string; requestId: string }
/** A state change that was confirmed. */
type Changed = { index: number; action: string; name: string }

export type Evidence = {
  given: Given[]
  changed: Changed[]
  /** Size to root; two roots for one size are a fork. */
  heads: Map<number, string>
  /** Anything that a client found wrong with what it was given. */
  faults: string[]
  /** Takes a reply of POST /api/v1/credentials; answers the head that its receipt carries. */
  take(reply: Answered, since?: Head): Head | undefined
  sawCheckpoint(note: string): Head
}

type Credentials = {
  x509?: { certificateChain: string; serialNumber?: string }
  jwts?: { token: string }[]
  accessToken?: { token: string }
  receipt: unknown
}
type IssuedEntry = {
  requestId: string
  issued?: { x509?: { sha256: string }; jwts?: { jti: string }[]; accessToken?: { id: string } }
}

const jtiOf = (token: string): string => JSON.parse(Buffer.from(token.split('.')[1] ?? '', 'base64url').toString()).jti

/** `origin` is the log's name. */
export function createEvidence(vkeys: Vkeys, origin: string): Evidence {
  const given: Given[] = []
  const heads = new Map<number, string>()
  const faults: string[] = []

  function keepHead({ size, root }: { size: number; root: Uint8Array }): Head {
    const head = { size, root: Buffer.from(root).toString('base64') }
    const before = heads.get(size)
    if (before !== undefined && before !== head.root) faults.push(`two heads of size ${size}: the log forked`)
    heads.set(size, head.root)
    return head
  }

  /** What was handed out must be what the entry names. */
  function compare(body: Credentials, { issued }: IssuedEntry): void {
    if (body.x509) {
      const der = new X509Certificate(body.x509.certificateChain).raw
      const sha256 = createHash('sha256').update(der)
      if (issued?.x509?.sha256 !== sha256.digest('hex')) throw new Error('the entry names another certificate')
    }
    const jtis = (body.jwts ?? []).map((one) => jtiOf(one.token))
    if (JSON.stringify(jtis) !== JSON.stringify((issued?.jwts ?? []).map((one) => one.jti)))
      throw new Error('the entry names other JWTs')
    if ((body.accessToken === undefined) !== (issued?.accessToken === undefined))
      throw new Error('the entry and the reply differ about an access token')
  }

  return {
    given,
    changed: [],
    heads,
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
        given.push({ index: verified.index, leaf: verified.leaf.toString('base64'), requestId: entry.requestId })
        return keepHead(verified.checkpoint)
      } catch (error) {
        faults.push(`a reply with credentials: ${String(error)}`)
        return undefined
      }
    },
    sawCheckpoint: (note) => keepHead(openCheckpoint(note, vkeys)),
  }
}
