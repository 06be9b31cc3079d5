/** The commands of a page that a person types. */
import { readFileSync } from 'node:fs'

/** The lines of `purser` in a page's shell blocks, as arguments; none of them needs quotes. */
export function commandsIn(page: string): string[][] {
  const blocks = [...readFileSync(page, 'utf8').matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block)
  const lines = blocks.flatMap((block) => block.split('\n')).filter((line) => line.startsWith('purser '))
  return lines.map((line) => line.split(' ').slice(1))
}
