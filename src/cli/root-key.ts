/** `purser root-key`: the one key that is not in the database. Without it the database can't be read. */
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { generateRootKey, writeRootKey } from '../keys/root-key.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples, withOutput } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'

export function addRootKey(program: Command, io: Io): void {
  const group = program.command('root-key').summary('make or replace the key that is not in the database')
  addGenerate(group, io)
  addRotate(group, io)
}

function addGenerate(group: Command, io: Io): void {
  const command = group
    .command('generate')
    .summary('make a root key: 32 random bytes, base64')
    .description(
      'Writes a new root key to stdout, or to a file of mode 0600 that must not exist yet. Keep a copy apart.',
    )
    .option('--out <file>', 'where to')
    .action((flags: { out?: string }) => {
      const key = generateRootKey()
      if (flags.out === undefined) {
        io.stdout.write(`${key}\n`)
        return
      }
      try {
        writeRootKey(flags.out, key)
      } catch (error) {
        const code = error instanceof Error && 'code' in error ? String(error.code) : 'failed'
        const why =
          code === 'EEXIST' ? 'exists already, and a lost root key is a lost database' : `can't be written (${code})`
        throw new CliError(`${flags.out} ${why}`, exitCodes.usage)
      }
      remark(io, `root key written to ${flags.out}: set PURSER_ROOT_KEY_FILE, and keep a copy apart from the database`)
    })
  withExamples(command, 'purser root-key generate --out /etc/purser/root-key')
}

function addRotate(group: Command, io: Io): void {
  const command = group
    .command('rotate')
    .summary('put the keyring under another root key')
    .description(
      "Runs on the host, with the server's configuration and both root keys, while no server runs. It happens whole or not at all, and may be run again. Afterwards the new root key alone opens the database; keep the older one as long as you keep backups of before.",
    )
    .requiredOption('--new-key-file <file>', 'the new root key, made by `purser root-key generate --out`')
    .requiredOption('--reason <text>', 'why, for the audit log (up to 200 characters)')
    .action(async ({ newKeyFile, reason, ...flags }: OutputFlags & { newKeyFile: string; reason: string }) => {
      if (reason.length > 200) throw new CliError('--reason has up to 200 characters', exitCodes.usage)
      // Loaded here, so that verbs that only ask load no server.
      const { rotateRootKey } = await import('../start/rotate-root-key.ts')
      const config = readConfig({ env: io.env, readFile: io.readFile })
      const done = await rotateRootKey(config, { newKeyFile, reason, now: new Date() })
      const what = done.rewrapped === 0 ? 'is under it already' : `${done.rewrapped} wrapping keys are under it now`
      show(io, flags, done, ({ to }) => `root key ${to}: ${what}\n`)
      remark(
        io,
        `set PURSER_ROOT_KEY_FILE to ${newKeyFile}, or put it in the old one's place, for every replica; then start them`,
      )
    })
  withExamples(
    withOutput(command),
    'purser root-key generate --out /etc/purser/root-key.new',
    'purser root-key rotate --new-key-file /etc/purser/root-key.new --reason "somebody left"',
  )
}
