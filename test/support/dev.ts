/** `purser dev` in this process, in a folder of its own, until it is ready. */
import { mkdtempSync, rmSync } from 'node:fs'
import { type AddressInfo, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { type CommandResult, startCli } from './cli.ts'
import { copyEmbedded } from './embedded-template.ts'

export type Dev = {
  /** Its output so far. */
  out: string
  url: string
  dataDir: string
  /** Ctrl-C; the folder stays until `forget`. */
  stop(): Promise<CommandResult>
  forget(): void
}

/** A free port: the usual one may belong to a server of the developer. */
export async function anyPort(): Promise<string> {
  const probe = createServer()
  await new Promise<void>((resolve) => probe.listen(0, '127.0.0.1', resolve))
  const { port } = probe.address() as AddressInfo
  await new Promise((resolve) => probe.close(resolve))
  return String(port)
}

/** @param options.dataDir of an earlier start, which then continues */
export async function startDev(options: { dataDir?: string; env?: Record<string, string> } = {}): Promise<Dev> {
  const dataDir = options.dataDir ?? mkdtempSync(join(tmpdir(), 'purser-dev-'))
  const where = options.dataDir === undefined ? ['--port', await anyPort()] : []
  if (options.dataDir === undefined) await copyEmbedded(join(dataDir, 'db'))
  let up: (out: string) => void = () => undefined
  const ready = new Promise<string>((resolve) => (up = resolve))
  const { result, interrupt } = startCli(['dev', '--data-dir', dataDir, ...where], {
    env: options.env ?? {},
    onOutput: (out) => out.includes('Ctrl-C stops it.') && up(out),
  })
  const out = await Promise.race([
    ready,
    result.then(({ code, err }) => {
      throw new Error(`dev ended with ${code}: ${err}`)
    }),
  ])
  return {
    out,
    url: /^ {2}address +(\S+)$/m.exec(out)?.[1] ?? '',
    dataDir,
    stop() {
      interrupt()
      return result
    },
    forget: () => rmSync(dataDir, { recursive: true, force: true }),
  }
}
