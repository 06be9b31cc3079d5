/** `purser schema`: the JSON Schema of the files, for editors and other tools. */
import type { Command } from 'commander'
import { loadOpenApi } from '../../http/openapi.ts'
import type { Io } from '../io.ts'
import { withExamples } from '../options.ts'
import { createSchema } from './schema.ts'

export function addSchema(program: Command, io: Io): void {
  const command = program
    .command('schema')
    .summary('print the JSON Schema of configuration files, for editors')
    .action(() => void io.stdout.write(`${JSON.stringify(createSchema(loadOpenApi().written), null, 2)}\n`))
  withExamples(command, 'purser schema > purser.schema.json')
}
