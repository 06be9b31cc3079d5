/** Reads all requested values, or refuses and names the part. */
import type { Hints, Release } from '../../audit/record.ts'
import { type SecretPath, parseSecretPath } from '../../names/secret-path.ts'
import { type ReadParts, type ReadSecrets, type SecretRequest, readSecrets } from '../../secrets/read.ts'
import type { Snapshot } from '../../store/snapshot.ts'
import { type Context, checkReason, revealReason } from '../context.ts'
import { type SecretCaller, isAllowedAlike, secretCaller } from './reader.ts'

type SecretValues = ReadSecrets['values']

/** @param pointerOf the place of each part in the request, for refusals */
export const createReadSecrets =
  (parts: ReadParts) =>
  async (
    context: Context,
    snapshot: Snapshot,
    requests: readonly SecretRequest[],
    hints: Hints,
    pointerOf?: (index: number) => string,
  ): Promise<Release<SecretValues>> => {
    const { holder, may, actor, live } = secretCaller(context, snapshot)
    checkReason(context, revealReason)
    const isFresh = hints.secretsMoved ?? false
    const reader = { holder, may: (path: SecretPath) => may('read', path), isFresh }
    const secrets = await readSecrets(parts, requests, reader, context.time, pointerOf)
    return {
      result: secrets.values,
      entry: { ...(actor && { actor }), issued: { secrets: secrets.record } },
      effects: { reads: secrets.reads, ...live },
      // Grants are evaluated at each use: a newer entry may grant less.
      holds: (newer) => isAllowedAlike(context, actor, newer, (caller) => mayReadAll(caller, secrets)),
    }
  }

const mayReadAll = ({ may }: Pick<SecretCaller, 'may'>, { record }: ReadSecrets): boolean =>
  record.every(({ path }) => may('read', parseSecretPath(path)))
