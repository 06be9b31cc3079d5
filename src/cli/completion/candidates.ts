/** What could complete a command line: read from the declarations of the verbs. */
import type { Command, Option } from 'commander'

export type Candidate = { word: string; summary: string }

/** @param words those after `purser`; the last is the one to complete, and may be empty */
export function candidatesFor(program: Command, words: readonly string[]): Candidate[] {
  const current = words.at(-1) ?? ''
  return everyCandidate(program, words.slice(0, -1), current.startsWith('-')).filter(({ word }) =>
    word.startsWith(current),
  )
}

function everyCandidate(program: Command, before: readonly string[], isOption: boolean): Candidate[] {
  const { command, operands, option } = walk(program, before)
  if (option) return (option.argChoices ?? []).map((word) => ({ word, summary: option.description }))
  // After --, words belong to another command.
  if (before.includes('--')) return []
  if (isOption) return optionsOf(command)
  if (command.commands.length > 0) return operands === 0 ? commandsOf(command) : []
  const argument = command.registeredArguments[operands]
  return (argument?.argChoices ?? []).map((word) => ({ word, summary: argument?.description ?? '' }))
}

/** The command that the words name, how many operands follow it, and the option whose value is next. */
function walk(program: Command, words: readonly string[]) {
  let command = program
  let operands = 0
  let option: Option | undefined
  for (const word of words) {
    if (option) option = undefined
    else if (word.startsWith('-')) option = valueOption(command, word)
    else {
      const subcommand = command.commands.find((verb) => [verb.name(), ...verb.aliases()].includes(word))
      if (subcommand) command = subcommand
      else operands += 1
    }
  }
  return { command, operands, option }
}

/** The option, if its value is the next word. */
const valueOption = (command: Command, word: string): Option | undefined =>
  command.options.find((option) => [option.short, option.long].includes(word) && (option.required || option.optional))

const optionsOf = (command: Command): Candidate[] =>
  command
    .createHelp()
    .visibleOptions(command)
    .map(({ long, short, description }) => ({ word: long ?? short ?? '', summary: description }))

const commandsOf = (command: Command): Candidate[] =>
  command
    .createHelp()
    .visibleCommands(command)
    .map((verb) => ({ word: verb.name(), summary: verb.summary() || verb.description() }))
