/** The verified server's self-description, the audiences of proofs, and the witness of its log. */
import { PurserError, wordsOf } from '../errors.ts'
import { type HeadFile, createHeadFile } from '../state/head-file.ts'
import { chooseLogKeys } from '../log/log-keys.ts'
import { type ServerInfo, readServerInfo } from '../connection/server-info.ts'
import type { Settings, Selection } from './settings.ts'
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

/** Requests the description at the first call, and caches the first success. */
export function createServerView({ settings, transport, warn }: Parts): (signal: AbortSignal) => Promise<ServerView> {
  let cached: ServerView | undefined
  return async (signal) => {
    if (cached) return cached
    const info = await readServerInfo(transport, signal)
    refuseUnlessOffered(settings.selection, info)
    const file = settings.stateDir === undefined ? undefined : createHeadFile(settings.stateDir, info.trustDomain)
    const { witness, pinned } = await witnessFor(settings, info, file, warn)
    const succession = witness && createSuccession({ witness, pinned, warn })
    cached = {
      info,
      audiences: audiencesOf(settings, info),
      witness,
      async keepHead(head, within) {
        await succession?.check(head, async () => (await readServerInfo(transport, within)).logKeys)
        const stored = { vkeys: witness?.vkeys() ?? [], checkpoint: head.note }
        await file?.write(stored).catch((error: unknown) => {
          warn(`the log's head can't be stored in ${file.path}: ${wordsOf(error)}`)
        })
      },
    }
    return cached
  }
}

function audiencesOf({ audience, chosen }: Settings, { audiences }: ServerInfo): readonly string[] {
  const accepted = audience === undefined ? audiences : [audience]
  chosen.push({
    about: 'audience',
    chosen: `${accepted.join(', ')} (${audience === undefined ? 'named by the verified server' : 'option audience or PURSER_AUDIENCE'})`,
    dismissed: audience === undefined ? ['neither the option audience nor PURSER_AUDIENCE is given'] : [],
  })
  return accepted
}

/** An older server would refuse the whole request, after the proof is spent. */
function refuseUnlessOffered(selection: Selection, { features, version }: ServerInfo): void {
  const { x509, jwts, accessToken, secrets = [] } = selection
  const parts: [name: string, feature: string, isRequested: boolean][] = [
    ['x509', 'x509', x509 !== undefined],
    ['jwts', 'jwt', jwts.length > 0],
    ['accessToken', 'access-token', accessToken !== undefined],
    ['secrets', 'secrets', secrets.length > 0],
  ]
  for (const [part, feature, isRequested] of parts) {
    if (isRequested && !features.includes(feature)) {
      throw new PurserError(
        'not_offered',
        `the server (version ${version}) does not offer ${part}; request less, or update the server`,
      )
    }
  }
}

/** The witness of this client, with its trusted keys. */
async function witnessFor(
  { receipts, logKeys, chosen }: Settings,
  info: ServerInfo,
  file: HeadFile | undefined,
  warn: (warning: string) => void,
): Promise<{ witness: Witness | undefined; pinned: boolean }> {
  const none = { witness: undefined, pinned: false }
  if (receipts === 'off') return none
  try {
    const stored = await file?.read()
    const { about, chosen: words, dismissed, vkeys, pinned, warning } = chooseLogKeys(logKeys, stored, info)
    chosen.push({ about, chosen: words, dismissed })
    if (warning !== undefined) warn(warning)
    const witness = createWitness({ trustDomain: info.trustDomain, vkeys, pinned, stored: stored?.checkpoint })
    return { witness, pinned }
  } catch (error) {
    if (receipts === 'require' || !(error instanceof PurserError)) throw error
    warn(`${error.code}: ${error.message}`)
    return none
  }
}
