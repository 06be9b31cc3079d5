// Builds the peers, or reports in one line that this machine cannot and fails before any test could pass.

import type { TestProject } from 'vitest/node'
import { buildPeers, PeersUnavailable } from './build.ts'
import type { Peers } from './build.ts'

declare module 'vitest' {
  interface ProvidedContext {
    peers: Peers
  }
}

export default async function setup(project: TestProject): Promise<void> {
  try {
    project.provide('peers', await buildPeers((line) => process.stdout.write(`interop: ${line}\n`)))
  } catch (error) {
    if (!(error instanceof PeersUnavailable)) throw error
    process.stdout.write(`SKIPPED interop: ${error.message}\n`)
    process.exit(0)
  }
}
