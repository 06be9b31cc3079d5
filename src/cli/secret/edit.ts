/** `purser secret edit`: opens the value in an editor, and writes the saved text as the next version. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import { CliError, type Io } from '../io.ts'
import { withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, remark, show } from '../output.ts'
import { objectOf } from './value.ts'
import { findSecret, secretPath, underVersion, usage, withPath, written } from './place.ts'
import { createPrivateFile } from './private-file.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

export function addEdit(group: Command, io: Io): void {
  const command = withPath(group.command('edit').summary('edit a value in your editor'))
    .description(
      'Opens the value with $VISUAL or $EDITOR in a file that only you can read, in memory if possible. The file is overwritten and removed afterwards. Writes nothing if the value did not change, or if another version was written meanwhile.',
    )
    .action((path: string, refused: string[], flags: Flags) => edit(io, path, refused, flags))
  withExamples(
    withReason(withOutput(withServer(command))),
    'EDITOR=nano purser secret edit prod/db/password --reason "new host name"',
  )
}

async function edit(io: Io, path: string, refused: readonly string[], flags: Flags): Promise<void> {
  const place = { path: { path: secretPath(path, refused) }, reason: flags.reason }
  const editor = io.env.VISUAL || io.env.EDITOR
  if (!editor) throw usage('no editor: set VISUAL or EDITOR')
  if (!flags.reason?.trim())
    throw usage('--reason is required, since the value is read: give --reason "…" for the audit log')
  await withApi(io, flags, async (api) => {
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
      written(`secret ${path} written, version ${version}`, logIndex),
    )
  })
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
