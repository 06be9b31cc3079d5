/** `purser secret`: values are kept, read and moved on. None is ever on the command line, which everybody on the machine sees. */
import type { Command } from 'commander'
import type { Io } from './io.ts'
import { addConsumers } from './secret/consumers.ts'
import { addDelete } from './secret/delete.ts'
import { addDestroy } from './secret/destroy.ts'
import { addEdit } from './secret/edit.ts'
import { addGet } from './secret/get.ts'
import { addHistory } from './secret/history.ts'
import { addImport } from './secret/import.ts'
import { addList } from './secret/list.ts'
import { addMetadata } from './secret/metadata.ts'
import { addPatch } from './secret/patch.ts'
import { addPut } from './secret/put.ts'
import { addRotate } from './secret/rotate.ts'
import { addRotation } from './secret/rotation.ts'
import { addStatus } from './secret/status.ts'
import { addUndelete } from './secret/undelete.ts'

export function addSecret(program: Command, io: Io): void {
  const group = program
    .command('secret')
    .summary('write, read, edit and destroy secrets')
    .description('Values come from standard input, from files or from your editor, never from the command line.')
    // `--password=…` is no option, and what stands behind it may be the value itself.
    .configureOutput({ outputError: (text, write) => write(withoutValues(text)) })
  for (const add of [addGet, addPut, addPatch, addEdit, addList, addHistory]) add(group, io)
  for (const add of [addRotate, addRotation, addConsumers, addStatus]) add(group, io)
  for (const add of [addDelete, addUndelete, addDestroy, addMetadata, addImport]) add(group, io)
}

const withoutValues = (text: string): string => text.replaceAll(/(option '-{1,2}[^'=\s]*)[^']*'/g, "$1'")
