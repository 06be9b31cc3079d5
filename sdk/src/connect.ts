import { PurserError, wordsOf } from './errors.ts'
import { createFetchCredentials } from './fetch-credentials.ts'
import { type HeadFile, createHeadFile } from './kept-head.ts'
import { chooseLogKeys } from './log-keys.ts'
import type { ConnectOptions } from './options.ts'
import { type Purser, createPurser } from './purser.ts'
import { type ServerInfo, readServerInfo } from './server-info.ts'
import { type Settings, type Wanted, readSettings } from './settings.ts'
import { createTransport } from './transport.ts'
import { anchorsFor } from './trust.ts'
import { type Witness, createWitness } from './witness.ts'

/**
 * Attests this workload and gets its credentials, in one request, from options and environment: finds the server and
 * verifies it, finds the orchestrator's proof and looks whom it is addressed to, sends it, and verifies what came back
 * and its receipt.
 *
 * @throws PurserError whose `code` tells what went wrong, and whose `message` what to do
 */
export async function connect(options: ConnectOptions = {}): Promise<Purser> {
  const warn = options.onWarning ?? ((warning: string) => process.emitWarning(warning, 'PurserWarning'))
  const now = (): Date => new Date()
  const settings = await readSettings(options)
  const { address, trust, timeoutMs, stateDir } = settings
  const never = new AbortController().signal
  const signal = options.signal ?? never

  const anchors = await anchorsFor(trust, address, timeoutMs, signal)
  const transport = createTransport({ address, anchors, timeoutMs })
  try {
    const info = await readServerInfo(transport, signal)
    const file = stateDir === undefined ? undefined : createHeadFile(stateDir, info.trustDomain)
    const { witness, vkeys } = await witnessFor(settings, info, file, warn)
    const fetchCredentials = createFetchCredentials({
      settings,
      transport,
      audiences: audiencesOf(settings, info),
      trustDomain: info.trustDomain,
      witness,
      keepHead: async (checkpoint) => {
        await file?.write({ vkeys, checkpoint }).catch((error: unknown) => {
          warn(`the log's head can't be kept in ${file.path}: ${wordsOf(error)}`)
        })
      },
      warn,
      now,
    })
    const first = await fetchCredentials(offered(settings, info), signal)
    return createPurser({ first, fetchCredentials, chosen: settings.chosen, close: () => transport.close(), now })
  } catch (error) {
    transport.close()
    throw error
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

const featureOf = { x509: 'x509', jwts: 'jwt', accessToken: 'access-token' } as const

/** What is asked for, if the server has it: an older one would refuse the whole request, with the proof spent. */
function offered({ wanted }: Settings, { features, version }: ServerInfo): Wanted {
  const asked = {
    x509: wanted.x509 !== undefined,
    jwts: wanted.jwts.length > 0,
    accessToken: wanted.accessToken !== undefined,
  }
  for (const part of ['x509', 'jwts', 'accessToken'] as const) {
    if (asked[part] && !features.includes(featureOf[part])) {
      throw new PurserError(
        'not_offered',
        `the server (version ${version}) does not offer ${part}; leave it out or update the server`,
      )
    }
  }
  return wanted
}

/** The witness of this client, with the keys that it trusts; none where receipts are off, or `warn` let it pass. */
async function witnessFor(
  { receipts, logKeys, chosen }: Settings,
  info: ServerInfo,
  file: HeadFile | undefined,
  warn: (warning: string) => void,
): Promise<{ witness: Witness | undefined; vkeys: string[] }> {
  const none = { witness: undefined, vkeys: [] }
  if (receipts === 'off') return none
  try {
    const kept = await file?.read()
    const { about, chosen: words, dismissed, vkeys, pinned, warning } = chooseLogKeys(logKeys, kept, info)
    chosen.push({ about, chosen: words, dismissed })
    if (warning !== undefined) warn(warning)
    const witness = createWitness({ trustDomain: info.trustDomain, vkeys, pinned, kept: kept?.checkpoint })
    return { witness, vkeys }
  } catch (error) {
    if (receipts === 'require' || !(error instanceof PurserError)) throw error
    warn(`${error.code}: ${error.message}`)
    return none
  }
}
