/** `purser root-key`: the one key outside the database, without which its keys and values cannot be decrypted. */
import type { Command } from 'commander'
import { readConfig } from '../config.ts'
import { generateRootKey, writeRootKey } from '../keys/root-key.ts'
import { type Io, codeOf, usageError } from './io.ts'
import { withExamples, withOutput, withRequiredReason } from './options.ts'
import { type OutputFlags, remark, show } from './output.ts'

export function addRootKey(program: Command, io: Io): void {
  const group = program
    .command('root-key')
    .summary('create or replace the root key, which encrypts the keys in the database')
  addGenerate(group, io)
  addRotate(group, io)
}

function addGenerate(group: Command, io: Io): void {
  const command = group
    .command('generate')
    .summary('create a root key: 32 random bytes in base64')
    .description(
      'Writes a new root key to stdout, or to a new file with mode 0600. Keep a copy apart from the database.',
    )
    .option('--out <file>', 'write to this file, which must not exist')
    .action((flags: { out?: string }) => {
      const key = generateRootKey()
      if (flags.out === undefined) {
        io.stdout.write(`${key}\n`)
        return
      }
      try {
        writeRootKey(flags.out, key)
      } catch (error) {
        const code = codeOf(error) ?? 'failed'
        const why = code === 'EEXIST' ? 'it exists, and a lost root key is a lost database: name another file' : code
        throw usageError(`can't write ${flags.out}: ${why}`)
      }
      remark(io, `root key written to ${flags.out}: set PURSER_ROOT_KEY_FILE, and keep a copy apart from the database`)
    })
  withExamples(command, 'purser root-key generate --out /etc/purser/root-key')
}

function addRotate(group: Command, io: Io): void {
  const command = group
    .command('rotate')
    .summary('replace the root key')
    .description(
      "Runs on the server's host with its configuration and both root keys, while no server runs. Encrypts the keyring with the new root key in one transaction; it is safe to run again. Afterwards only the new root key opens the database. Keep the old one as long as you keep older backups.",
    )
    .requiredOption('--new-key-file <file>', 'the new root key, from `purser root-key generate --out`')
    .action(async ({ newKeyFile, reason, ...flags }: OutputFlags & { newKeyFile: string; reason: string }) => {
      // Loaded on demand, so that client verbs load no server code.
      const { rotateRootKey } = await import('../start/rotate-root-key.ts')
      const config = readConfig({ env: io.env, readFile: io.readFile })
      const done = await rotateRootKey(config, { newKeyFile, reason, now: new Date() })
      const what = done.rewrapped === 0 ? 'already in use' : `encrypts ${done.rewrapped} wrapping keys`
      show(io, flags, done, ({ to }) => `root key ${to}: ${what}\n`)
      remark(
        io,
        `next: set PURSER_ROOT_KEY_FILE to ${newKeyFile} on every replica, or put the file in the old one's place; then start them`,
      )
    })
  withExamples(
    withOutput(withRequiredReason(command)),
    'purser root-key generate --out /etc/purser/root-key.new',
    'purser root-key rotate --new-key-file /etc/purser/root-key.new --reason "an administrator left"',
  )
}
