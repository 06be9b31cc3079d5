/** `purser secret edit`: opens the value in an editor, and writes the saved text as the next version. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import type { Api } from '../api.ts'
import { CliError, type Io, usageError } from '../io.ts'
import { remark, show, table } from '../output.ts'
import { type VerbFlags, addVerb } from '../verb.ts'
import { findSecret, underVersion, withPath } from './place.ts'
import { createPrivateFile } from './private-file.ts'
import { objectOf } from './value.ts'

export function addEdit(group: Command, io: Io): void {
  addVerb(group, io, {
    usage: 'edit',
    summary: 'edit a value in your editor',
    description:
      'Opens the value with $VISUAL or $EDITOR in a file that only you can read, in memory if possible. The file is overwritten and removed afterwards. Writes nothing if the value did not change, or if another version was written meanwhile.',
    options: withPath,
    reason: true,
    examples: ['EDITOR=nano purser secret edit prod/db/password --reason "new host name"'],
    run: (api, flags, path) => edit(io, api, path, flags),
  })
}

async function edit(io: Io, api: Api, path: string, flags: VerbFlags): Promise<void> {
  const place = { path: { path }, reason: flags.reason }
  const editor = io.env.VISUAL || io.env.EDITOR
  if (!editor) throw usageError('no editor: set VISUAL or EDITOR')
  if (!flags.reason?.trim())
    throw usageError('--reason is required, since the value is read: give --reason "…" for the audit log')
  const live = await findSecret(api, path)
  const before = live ? (await api.call('GET', '/api/v1/secrets/{path}', place)).body : { data: {}, version: 0 }
  const text = await editText(io, editor, `${JSON.stringify(before.data, null, 2)}\n`)
  const data = objectOf(text, 'the saved file')
  if (isDeepStrictEqual(data, before.data)) {
    show(io, flags, { path, version: before.version, changed: false }, () => `secret ${path} unchanged\n`)
    return
  }
  const write = () => api.call('PUT', '/api/v1/secrets/{path}', { ...place, body: { data }, ifMatch: before.version })
  const { body, logIndex } = await underVersion(path, before.version, write)
  show(io, flags, { ...body, changed: true, logIndex }, ({ version }) =>
    table([[`secret ${path} written, version ${version}`, `log ${logIndex}`]]),
  )
}

/** @returns the saved text. The file is always removed. */
async function editText(io: Io, editor: string, text: string): Promise<string> {
  const file = createPrivateFile(io.env, text)
  try {
    if (!file.inMemory)
      remark(io, 'warning: no in-memory file system was found, so the value is on disk while the editor runs')
    // As in git, the setting may hold arguments. The value is only in the file.
    const isPlain = /^[\w./ -]+$/.test(editor)
    const line = `${isPlain ? 'exec ' : ''}${editor} "$@"`
    const child = spawn('sh', ['-c', line, editor, file.path], { env: io.env, stdio: 'inherit' })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
      // The editor handles Ctrl-C. Other signals end it at once.
      io.onSignal(['SIGINT'], () => undefined)
      io.onSignal(['SIGTERM', 'SIGHUP'], (name) => {
        file.wipe()
        child.kill(name)
        child.unref()
        reject(new CliError(`ended by ${name}: nothing was written`))
      })
    })
    if (code !== 0) throw new CliError(`the editor ended with ${code ?? 'a signal'}: nothing was written`)
    return readFileSync(file.path, 'utf8')
  } finally {
    file.wipe()
  }
}
