/** `purser root-key generate`: the one key that is not in the database. Without it the database can't be read. */
import type { Command } from 'commander'
import { generateRootKey, writeRootKey } from '../keys/root-key.ts'
import { CliError, type Io, exitCodes } from './io.ts'
import { withExamples } from './options.ts'
import { remark } from './output.ts'

export function addRootKey(program: Command, io: Io): void {
  const group = program.command('root-key').summary('make the key that is not in the database')
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
