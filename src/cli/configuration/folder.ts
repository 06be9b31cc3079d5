/** The files of a configuration: text in UTF-8, inside the folder that was named, of a limited size. */
import { readFile, readdir, realpath, stat } from 'node:fs/promises'
import { basename, dirname, join, sep } from 'node:path'
import { type Io, codeOf, usageError } from '../io.ts'

export type SourceText = {
  path: string
  text: string
  /** The folder that files beside it may be read from. */
  root: string
}

const maxFileBytes = 16 * 2 ** 20
const maxTotalBytes = 256 * 2 ** 20

/** The sources of all paths, up to a total size. @throws CliError that names the file */
export async function* readSources(io: Pick<Io, 'stdin'>, paths: readonly string[]): AsyncGenerator<SourceText> {
  let total = 0
  for await (const source of sourcesAt(io, paths)) {
    total += source.text.length
    if (total > maxTotalBytes) {
      throw usageError(
        `the files are larger than ${maxTotalBytes / 2 ** 20} MiB together: apply the folders one by one`,
      )
    }
    yield source
  }
}

/**
 * @param paths of files and folders, or `-` for stdin. Of a folder, every `.yaml` and `.yml` file below it is read, in
 * the order of the names; hidden files and folders are left out.
 */
async function* sourcesAt(io: Pick<Io, 'stdin'>, paths: readonly string[]): AsyncGenerator<SourceText> {
  for (const path of paths) {
    if (path === '-') {
      yield { path, text: decode(path, await readAll(path, io.stdin)), root: await realpath('.') }
      continue
    }
    const real = await resolving(path, realpath(path))
    if (!(await stat(real)).isDirectory()) {
      yield { path, text: await readSource(path, real), root: dirname(real) }
      continue
    }
    for await (const file of filesIn(path, real)) {
      yield { path: file.path, text: await readSource(file.path, file.real), root: real }
    }
  }
}

type Place = { path: string; real: string }

async function* filesIn(folder: string, root: string): AsyncGenerator<Place> {
  const entries = await resolving(folder, readdir(folder, { withFileTypes: true }))
  for (const entry of entries.toSorted((a, b) => (a.name < b.name ? -1 : 1))) {
    const path = join(folder, entry.name)
    if (entry.name.startsWith('.')) continue
    if (entry.isDirectory()) yield* filesIn(path, root)
    else if (entry.isSymbolicLink()) yield* linked(path, root)
    else if (isYaml(entry.name)) yield { path, real: await realpath(path) }
  }
}

/** A link may lead to another file of the folder, as in a mounted ConfigMap. */
async function* linked(path: string, root: string): AsyncGenerator<Place> {
  const real = await resolving(path, realpath(path))
  const isFolder = (await stat(real)).isDirectory()
  if (!isFolder && !isYaml(basename(path))) return
  if (!isInside(root, real)) throw usageError(`${path}: is a link that leaves the folder: replace it with the file`)
  if (isFolder) throw usageError(`${path}: is a link to a folder: replace it with the folder`)
  yield { path, real }
}

const isYaml = (name: string): boolean => /\.ya?ml$/.test(name)

export const isInside = (root: string, real: string): boolean =>
  real === root || real.startsWith(root.endsWith(sep) ? root : `${root}${sep}`)

async function readAll(path: string, stream: AsyncIterable<Buffer | string>): Promise<Buffer> {
  const chunks: Buffer[] = []
  let size = 0
  for await (const chunk of stream) {
    const bytes = Buffer.from(chunk)
    size += bytes.length
    if (size > maxFileBytes) throw tooLarge(path)
    chunks.push(bytes)
  }
  return Buffer.concat(chunks)
}

async function readSource(path: string, real: string): Promise<string> {
  const status = await resolving(path, stat(real))
  if (!status.isFile()) throw usageError(`${path}: is not a file`)
  if (status.size > maxFileBytes) throw tooLarge(path)
  return decode(path, await resolving(path, readFile(real)))
}

const tooLarge = (path: string): Error =>
  usageError(`${path}: is larger than ${maxFileBytes / 2 ** 20} MiB: split it into several files`)

const decoder = new TextDecoder('utf-8', { fatal: true })

function decode(path: string, bytes: Buffer): string {
  try {
    return decoder.decode(bytes)
  } catch {
    throw usageError(`${path}: is not UTF-8: convert it`)
  }
}

async function resolving<T>(path: string, reading: Promise<T>): Promise<T> {
  try {
    return await reading
  } catch (error) {
    throw usageError(`${path}: can't be read (${codeOf(error) ?? 'unknown'})`)
  }
}
