/** Once a run: one Postgres, and one migrated template database. Tests clone it. */
import { chmod, mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type { TestProject } from 'vitest/node'
import { makeTemplate } from './template.ts'
import { startPostgres } from './postgres.ts'

declare module 'vitest' {
  interface ProvidedContext {
    postgres: { url: string; template: string }
    /** A directory for this run, shared by its workers. */
    runDirectory: string
  }
}

export default async function setUp(project: TestProject): Promise<() => Promise<void>> {
  const postgres = await startPostgres(project.config.env?.['PURSER_TEST_POSTGRES'])
  try {
    const template = await makeTemplate(postgres.url)
    const runDirectory = await mkdtemp(join(tmpdir(), 'purser-test-'))
    // Postgres runs as another user than root.
    await chmod(runDirectory, 0o711)
    process.stdout.write(`Postgres for the tests: ${postgres.what}, ${template.version}\n`)
    project.provide('postgres', { url: postgres.url, template: template.name })
    project.provide('runDirectory', runDirectory)
    return async () => {
      await template.drop()
      await postgres.stop()
      await rm(runDirectory, { recursive: true, force: true })
    }
  } catch (error) {
    await postgres.stop()
    throw error
  }
}
