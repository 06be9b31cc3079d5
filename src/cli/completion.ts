/** `purser completion`: a script for a shell, and the candidates that the script requests. */
import { Argument, type Command } from 'commander'
import { type Candidate, candidatesFor } from './completion/candidates.ts'
import { type Shell, scripts } from './completion/scripts.ts'
import type { Io } from './io.ts'
import { withExamples } from './options.ts'

export function addCompletion(program: Command, io: Io): void {
  const shells = Object.keys(scripts)
  const command = program
    .command('completion')
    .summary('print a script that completes commands in bash, zsh or fish')
    .description(
      'Prints a script that completes commands, options and their choices. With words after --, prints what could complete the last of them, one candidate a line, as the script requests it. Asks no server.',
    )
    .addArgument(new Argument('<shell>', 'the shell').choices(shells))
    .argument('[words...]', 'a command line, after --')
    .action((shell: Shell, words: string[]) => {
      io.stdout.write(words.length === 0 ? scripts[shell] : candidatesFor(program, words).map(line).join(''))
    })
  withExamples(
    command,
    'source <(purser completion bash)                                    # in ~/.bashrc',
    'source <(purser completion zsh)                                     # in ~/.zshrc, after compinit',
    'purser completion fish > ~/.config/fish/completions/purser.fish',
    'purser completion bash -- workload cre',
  )
}

const line = ({ word, summary }: Candidate): string => `${word}\t${summary}\n`
