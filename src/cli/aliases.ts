/** Other spellings of commands: `ls` and `rm`, and the plurals of nouns. */
import type { Command } from 'commander'

const verbAliases: Record<string, string> = { list: 'ls', delete: 'rm', remove: 'rm' }

/** A noun has a plural if its objects can be listed, deleted or created by name. */
const countable = new Set(['list', 'delete', 'create'])

export function addAliases(program: Command): void {
  for (const group of program.commands) {
    if (group.commands.some((verb) => countable.has(verb.name())) && !group.name().endsWith('s')) {
      group.alias(`${group.name()}s`)
    }
    addVerbAliases(group)
  }
}

function addVerbAliases(group: Command): void {
  for (const verb of group.commands) {
    const alias = verbAliases[verb.name()]
    if (alias !== undefined) verb.alias(alias)
    addVerbAliases(verb)
  }
}
