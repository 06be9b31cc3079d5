/** The commands of a page of docs/, and a folder in which a shell runs them with the command `purser`. */
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { builtMain } from './main.ts'
import type { TestPurser } from './purser.ts'
import { root } from './source-files.ts'

export type Page = {
  /** The text of each `sh` block, in order. */
  blocks: string[]
  folder: string
  /** The line that puts `purser` on the path. */
  path: string
  remove(): void
}

/**
 * @param name below docs/
 * @param headings only the sections with these headings; default: the whole page
 */
export function openPage(name: string, headings?: readonly string[]): Page {
  const whole = readFileSync(join(root, 'docs', name), 'utf8')
  const sections = whole.split(/^## /m)
  const text = headings
    ? sections.filter((section) => headings.some((heading) => section.startsWith(`${heading}\n`))).join('')
    : whole
  const folder = mkdtempSync(join(tmpdir(), 'purser-page-'))
  const command = join(folder, 'purser')
  writeFileSync(command, `#!/bin/sh\nexec "${process.execPath}" "${builtMain()}" "$@"\n`)
  chmodSync(command, 0o755)
  return {
    blocks: [...text.matchAll(/```sh\n(.*?)```/gs)].map(([, block = '']) => block),
    folder,
    path: `export PATH="${folder}:$PATH"`,
    remove: () => rmSync(folder, { recursive: true, force: true }),
  }
}

/** The line that sets the server and its admin token. */
export const serverLine = ({ url, dataDir, admin }: TestPurser): string =>
  `export PURSER_ADDR=${url} PURSER_CA_FILE=${join(dataDir, 'ca.pem')} PURSER_API_TOKEN=${admin}`
