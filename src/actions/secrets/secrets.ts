/** The actions on secrets. */
import type { ReadParts } from '../../secrets/read.ts'
import type { Database } from '../../store/database.ts'
import { createAcknowledgeSecret } from './acknowledge.ts'
import { type ConsumerParts, createListConsumers } from './consumers.ts'
import { deleteSecret } from './delete.ts'
import { describeSecret } from './describe.ts'
import { destroySecret } from './destroy.ts'
import { createListSecrets } from './list.ts'
import { createPatchSecret } from './patch.ts'
import { createPutSecret } from './put.ts'
import { createReadSecrets } from './read.ts'
import { createReadWriteState } from '../../store/write-states.ts'
import { secretAt } from './state.ts'
import { undeleteSecret } from './undelete.ts'
import { createSecretVersions } from './versions.ts'
import type { WriteParts } from './write.ts'
import { createWrittenStates } from './written.ts'

export type SecretParts = Omit<WriteParts, 'readWriteState' | 'written'> &
  ConsumerParts & { db: Pick<Database, 'knex'>; readSecretsBy: ReadParts }

export function createSecretActions(parts: SecretParts) {
  const writing = {
    ...parts,
    readWriteState: createReadWriteState(parts.db.knex),
    written: createWrittenStates(),
  }
  return {
    read: createReadSecrets(parts.readSecretsBy),
    list: createListSecrets(parts),
    acknowledge: createAcknowledgeSecret(parts),
    put: createPutSecret(writing),
    patch: createPatchSecret(writing),
    delete: deleteSecret,
    undelete: undeleteSecret,
    destroy: destroySecret,
    describe: describeSecret,
    get: (path: string) => secretAt(parts.db.knex, path),
    versions: createSecretVersions(parts),
    consumers: createListConsumers(parts),
  }
}
