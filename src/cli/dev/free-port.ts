/** A port on loopback that nobody listens on: the wanted one, or the next. */
import { createServer } from 'node:net'
import { CliError } from '../io.ts'

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })

/** @throws CliError where all of `tries` are taken */
export async function freePort(wanted: number, tries = 50): Promise<number> {
  for (let port = wanted; port < wanted + tries && port < 65_536; port++) if (await isFree(port)) return port
  throw new CliError(tries === 1 ? `port ${wanted} is taken` : `the ports from ${wanted} on are taken: see --port`)
}
