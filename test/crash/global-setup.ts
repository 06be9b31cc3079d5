/** Runs once: starts a Postgres, creates a migrated template, and chooses how the servers are started. */
import { chmod, mkdtemp, readdir, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import type { TestProject } from 'vitest/node'
import { startOwnPostgres } from '../support/postgres.ts'
import { makeTemplate } from '../support/template.ts'

declare module 'vitest' {
  interface ProvidedContext {
    /** Command and arguments before the verb. */
    server: string[]
  }
}

const root = fileURLToPath(new URL('../..', import.meta.url))

async function newest(folder: string): Promise<number> {
  const files = await readdir(join(root, folder), { recursive: true, withFileTypes: true })
  const times = files
    .filter((file) => file.isFile())
    .map(async (file) => (await stat(join(file.parentPath, file.name))).mtimeMs)
  return Math.max(0, ...(await Promise.all(times)))
}

/** The build, when it is newer than every source; else the source itself. */
async function server(): Promise<string[]> {
  const outputs = await Promise.all(
    ['dist/src/main.js', 'sdk/dist/verify/index.js'].map((file) => stat(join(root, file))),
  ).catch(() => [])
  const { mtimeMs: document } = await stat(join(root, 'openapi.yaml'))
  const sources = [document, ...(await Promise.all(['src', 'migrations', 'sdk/src'].map(newest)))]
  if (outputs.length > 0 && Math.min(...outputs.map((file) => file.mtimeMs)) > Math.max(...sources))
    return [process.execPath, 'dist/src/main.js']
  return [process.execPath, '--conditions=purser-source', '--import', 'tsx', 'src/main.ts']
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startOwnPostgres({ settings: { max_connections: '300' } })
  const runDirectory = await mkdtemp(join(tmpdir(), 'purser-crash-'))
  // Postgres runs as another user than root.
  await chmod(runDirectory, 0o711)
  const stop = async (): Promise<void> => {
    await postgres.stop()
    await rm(runDirectory, { recursive: true, force: true })
  }
  try {
    const template = await makeTemplate(postgres.url)
    const command = await server()
    process.stdout.write(`Postgres ${template.version}; servers: ${command.slice(1).join(' ')}\n`)
    project.provide('postgres', { url: postgres.url, template: template.name })
    project.provide('runDirectory', runDirectory)
    project.provide('server', command)
    return stop
  } catch (error) {
    await stop()
    throw error
  }
}
