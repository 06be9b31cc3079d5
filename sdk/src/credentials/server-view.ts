/** The server, once it is verified and has said what it is: whom proofs are addressed to, and the log that accounts for it. */
import { PurserError, wordsOf } from '../errors.ts'
import { type HeadFile, createHeadFile } from '../state/head-file.ts'
import { chooseLogKeys } from '../log/log-keys.ts'
import { type ServerInfo, readServerInfo } from '../connection/server-info.ts'
import type { Settings, Wanted } from './settings.ts'
import { createSuccession } from '../log/succession.ts'
import type { Transport } from '../connection/transport.ts'
import type { LogView } from '../log/check-receipt.ts'
import { type Witness, createWitness } from '../log/witness.ts'

export type ServerView = LogView & { info: ServerInfo; audiences: readonly string[] }

type Parts = {
  settings: Settings
  transport: Transport
  warn: (warning: string) => void
}

/** Asks at its first call that succeeds, and keeps the answer. */
export function createServerView({ settings, transport, warn }: Parts): (signal: AbortSignal) => Promise<ServerView> {
  let known: ServerView | undefined
  return async (signal) => {
    if (known) return known
    const info = await readServerInfo(transport, signal)
    refuseUnlessOffered(settings.wanted, info)
    const file = settings.stateDir === undefined ? undefined : createHeadFile(settings.stateDir, info.trustDomain)
    const { witness, pinned } = await witnessFor(settings, info, file, warn)
    const succession = witness && createSuccession({ witness, pinned, warn })
    known = {
      info,
      audiences: audiencesOf(settings, info),
      witness,
      async keepHead(head, within) {
        await succession?.look(head, async () => (await readServerInfo(transport, within)).logKeys)
        const kept = { vkeys: witness?.vkeys() ?? [], checkpoint: head.note }
        await file?.write(kept).catch((error: unknown) => {
          warn(`the log's head can't be kept in ${file.path}: ${wordsOf(error)}`)
        })
      },
    }
    return known
  }
}

function audiencesOf({ audience, chosen }: Settings, { audiences }: ServerInfo): readonly string[] {
  const named = audience === undefined ? audiences : [audience]
  chosen.push({
    about: 'audience',
    chosen: `${named.join(', ')} (${audience === undefined ? 'as the verified server says' : 'option audience or PURSER_AUDIENCE'})`,
    dismissed: audience === undefined ? ['neither the option audience nor PURSER_AUDIENCE is given'] : [],
  })
  return named
}

const featureOf = { x509: 'x509', jwts: 'jwt', accessToken: 'access-token', secrets: 'secrets' } as const

/** What is asked for, if the server has it: an older one would refuse the whole request, with the proof spent. */
function refuseUnlessOffered(wanted: Wanted, { features, version }: ServerInfo): void {
  const asked = {
    x509: wanted.x509 !== undefined,
    jwts: wanted.jwts.length > 0,
    accessToken: wanted.accessToken !== undefined,
    secrets: (wanted.secrets ?? []).length > 0,
  }
  for (const part of ['x509', 'jwts', 'accessToken', 'secrets'] as const) {
    if (asked[part] && !features.includes(featureOf[part])) {
      throw new PurserError(
        'not_offered',
        `the server (version ${version}) does not offer ${part}; leave it out or update the server`,
      )
    }
  }
}

/** The witness of this client, with the keys that it trusts. */
async function witnessFor(
  { receipts, logKeys, chosen }: Settings,
  info: ServerInfo,
  file: HeadFile | undefined,
  warn: (warning: string) => void,
): Promise<{ witness: Witness | undefined; pinned: boolean }> {
  const none = { witness: undefined, pinned: false }
  if (receipts === 'off') return none
  try {
    const kept = await file?.read()
    const { about, chosen: words, dismissed, vkeys, pinned, warning } = chooseLogKeys(logKeys, kept, info)
    chosen.push({ about, chosen: words, dismissed })
    if (warning !== undefined) warn(warning)
    const witness = createWitness({ trustDomain: info.trustDomain, vkeys, pinned, kept: kept?.checkpoint })
    return { witness, pinned }
  } catch (error) {
    if (receipts === 'require' || !(error instanceof PurserError)) throw error
    warn(`${error.code}: ${error.message}`)
    return none
  }
}
