import { decodeBase64 } from './base64.ts'
import { isObject } from './canonical.ts'
import { VerifyError } from './errors.ts'
import type { PreviousEpoch } from './export-format.ts'
import type { Section } from './export-section.ts'
import { HASH_SIZE, sameHash } from './merkle.ts'
import type { Problems } from './problems.ts'

type Head = { size: number; root: Buffer }

/**
 * Compares the older log that each epoch names with the section of that log.
 * @returns sentences for people about the losses and forks that the epochs declare
 */
export function checkEpochs(sections: readonly Section[], problems: Problems): string[] {
  const notes: string[] = []
  for (const { epoch, from, to, first } of sections) {
    if (epoch <= 1 || from > 0 || to === 0) continue
    const previous = first && readPrevious(first)
    if (!previous || previous.epoch >= epoch) {
      problems.add({
        code: 'bad_epoch_start',
        epoch,
        index: 0,
        detail: 'the first entry of the epoch does not name the older log',
      })
      continue
    }
    const { database, known, forks } = previous
    if (known && known.size > database.size) {
      const range = `entries ${database.size} to ${known.size - 1} of epoch ${previous.epoch}`
      notes.push(`the content of ${range}: epoch ${epoch} began because they were lost, and says so`)
    }
    for (const { size } of forks)
      notes.push(`epoch ${epoch} names a signed head over ${size} other entries of epoch ${previous.epoch}: a fork`)
    const older = sections.find((section) => section.epoch === previous.epoch)?.head
    if (!older) continue
    if (older.size < database.size) {
      const detail = `epoch ${epoch} began after ${database.size} entries of this one`
      problems.add({ code: 'tail_cut', epoch: previous.epoch, index: older.size, to: database.size, detail })
    } else if (older.size > database.size || !sameHash(older.root, database.root)) {
      const detail = `the older log's head is not the one that epoch ${epoch} names`
      problems.add({ code: 'bad_epoch_start', epoch, index: 0, detail })
    }
  }
  return notes
}

function readPrevious({ action, detail }: Record<string, unknown>):
  | (Omit<PreviousEpoch, 'database' | 'known' | 'forks'> & {
      database: Head
      known: Head | undefined
      forks: Head[]
    })
  | undefined {
  if (action !== 'log.epoch' || !isObject(detail) || !isObject(detail.previous)) return undefined
  const { epoch, database, known, forks } = detail.previous
  const head = readHead(database)
  if (typeof epoch !== 'number' || !head) return undefined
  return { epoch, database: head, known: readHead(known), forks: readHeads(forks) }
}

function readHeads(values: unknown): Head[] {
  if (!Array.isArray(values)) return []
  return values.map(readHead).filter((head) => head !== undefined)
}

function readHead(value: unknown): Head | undefined {
  if (!isObject(value) || typeof value.size !== 'number') return undefined
  try {
    return { size: value.size, root: decodeBase64(value.root, HASH_SIZE) }
  } catch (error) {
    if (error instanceof VerifyError) return undefined
    throw error
  }
}
