/** `purser secret edit`: the value in your editor, and what you saved as the next version. */
import { spawn } from 'node:child_process'
import { readFileSync } from 'node:fs'
import { isDeepStrictEqual } from 'node:util'
import type { Command } from 'commander'
import { type ServerFlags, withApi } from '../api.ts'
import { CliError, type Io } from '../io.ts'
import { withExamples, withOutput, withReason, withServer } from '../options.ts'
import { type OutputFlags, remark, show } from '../output.ts'
import { objectOf } from './given.ts'
import { findSecret, secretPath, underVersion, usage, withPath, written } from './place.ts'
import { createPrivateFile } from './private-file.ts'

type Flags = ServerFlags & OutputFlags & { reason?: string }

export function addEdit(group: Command, io: Io): void {
  const command = withPath(group.command('edit').summary('change a value in your editor'))
    .description(
      '$VISUAL or $EDITOR gets a file that only you can read, in memory where there is such a place; it is overwritten and removed afterwards, whatever happens. Nothing is written where nothing was changed, or where somebody else wrote meanwhile.',
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
  if (!editor) throw usage('set VISUAL or EDITOR to the editor that you want')
  if (!flags.reason?.trim())
    throw usage('say why with --reason "…": the value is read, and the log says by whom and why')
  await withApi(io, flags, async (api) => {
    const live = await findSecret(api, path)
    const before = live ? (await api.call('GET', '/api/v1/secrets/{path}', place)).body : { data: {}, version: 0 }
    const text = await inEditor(io, editor, `${JSON.stringify(before.data, null, 2)}\n`)
    const data = objectOf(text, 'what you saved')
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

/** @returns what was saved; the file is gone by then, and also where this throws */
async function inEditor(io: Io, editor: string, text: string): Promise<string> {
  const file = createPrivateFile(io.env, text)
  try {
    if (!file.inMemory)
      remark(io, 'there is no place in memory for the file, so it lies on the disk until it is removed')
    // As git does it: the setting may hold arguments. The value is in the file alone, never among them.
    const isPlain = /^[\w./ -]+$/.test(editor)
    const line = `${isPlain ? 'exec ' : ''}${editor} "$@"`
    const child = spawn('sh', ['-c', line, editor, file.path], { env: io.env, stdio: 'inherit' })
    const code = await new Promise<number | null>((resolve, reject) => {
      child.once('error', reject)
      child.once('close', resolve)
      // Ctrl-C is the editor's own affair; what would end us ends it, and nobody waits for it.
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
