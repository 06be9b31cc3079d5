/** Finds a free port on loopback. */
import { createServer } from 'node:net'
import { CliError } from '../io.ts'

const isFree = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer()
    probe.once('error', () => resolve(false))
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)))
  })

/** @throws CliError when all ports are in use */
export async function freePort(start: number, tries = 50): Promise<number> {
  for (let port = start; port < start + tries && port < 65_536; port++) if (await isFree(port)) return port
  throw new CliError(
    tries === 1 ? `port ${start} is in use` : `ports ${start} to ${start + tries - 1} are in use: give --port`,
  )
}
