/** Declares the verbs that call the API: their options, and how they print the reply. */
import type { Command } from 'commander'
import { type Api, type ApiReply, type ServerFlags, withApi } from './api.ts'
import type { Io } from './io.ts'
import { withExamples, withOutput, withReason, withServer } from './options.ts'
import { type OutputFlags, show, table } from './output.ts'

type ClientFlags = ServerFlags & OutputFlags
export type VerbFlags = ClientFlags & { reason?: string }

type Declaration = {
  /** The name, and arguments without a description: `get <name>`. */
  usage: string
  summary: string
  description?: string
  /** Adds the options of this verb alone, and arguments with a description. */
  options?: (command: Command) => Command
  examples: readonly string[]
}

type Call<F, A, T> = (api: Api, flags: F, ...args: A[]) => Promise<T>

/**
 * @param verb.reason whether the verb has the option `--reason`
 * @returns the command, for verbs below it
 */
export function addVerb<F extends ClientFlags = VerbFlags, A extends string = string>(
  group: Command,
  io: Io,
  verb: Declaration & { reason?: true; run: Call<F, A, void> },
): Command {
  const command = group.command(verb.usage).summary(verb.summary)
  if (verb.description !== undefined) command.description(verb.description)
  verb.options?.(command)
  withOutput(withServer(command))
  if (verb.reason) withReason(command)
  withExamples(command, ...verb.examples)
  command.action(() => withApi(io, command.opts(), (api) => verb.run(api, command.opts<F>(), ...command.processedArgs)))
  return command
}

/** The verb `list`: prints all items as a table. */
export function addList<T, F extends ClientFlags = VerbFlags>(
  group: Command,
  io: Io,
  {
    items: read,
    header,
    row,
    ...declaration
  }: Omit<Declaration, 'usage'> & {
    items: Call<F, string, T[]>
    header: readonly string[]
    row: (item: T) => readonly string[]
  },
): void {
  addVerb<F>(group, io, {
    usage: 'list',
    ...declaration,
    run: async (api, flags, ...args) => {
      const items = await read(api, flags, ...args)
      show(io, flags, { items }, () => table(items.map(row), header))
    },
  })
}

/** A verb that changes something: prints what changed, and the index of the log entry. */
export function addChange<T, F extends ClientFlags = VerbFlags>(
  group: Command,
  io: Io,
  {
    call,
    row,
    ...declaration
  }: Declaration & { call: Call<F, string, ApiReply<T>>; row: (body: T, flags: F) => string[] },
): void {
  addVerb<F>(group, io, {
    ...declaration,
    reason: true,
    run: async (api, flags, ...args) => {
      const { body, logIndex } = await call(api, flags, ...args)
      show(io, flags, body, () => table([[...row(body, flags), `log ${logIndex}`]]))
    },
  })
}
