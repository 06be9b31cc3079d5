/** `purser secret`: stores, reads and rotates secrets. Values are never arguments, which other users of the machine can see. */
import type { Command } from 'commander'
import type { Io } from './io.ts'
import { addConsumers } from './secret/consumers.ts'
import { addEdit } from './secret/edit.ts'
import { addGet } from './secret/get.ts'
import { addHistory, addList } from './secret/history.ts'
import { addImport } from './secret/import.ts'
import { addMetadata } from './secret/metadata.ts'
import { addRotate } from './secret/rotate.ts'
import { addRotation } from './secret/rotation.ts'
import { addStatus } from './secret/status.ts'
import { addDelete, addDestroy, addUndelete } from './secret/versions.ts'
import { addPatch, addPut } from './secret/write.ts'

export function addSecret(program: Command, io: Io): void {
  const group = program
    .command('secret')
    .summary('write, read, rotate and destroy secrets')
    .description('Values come from stdin, a file or your editor, never from arguments.')
    // An unknown option such as `--password=…` may hold a value, so the message omits it.
    .configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
  for (const add of [addGet, addPut, addPatch, addEdit, addList, addHistory]) add(group, io)
  for (const add of [addRotate, addRotation, addConsumers, addStatus]) add(group, io)
  for (const add of [addDelete, addUndelete, addDestroy, addMetadata, addImport]) add(group, io)
}

const withoutValues = (text: string): string => text.replaceAll(/(option '-{1,2}[^'=\s]*)[^']*'/g, "$1'")
