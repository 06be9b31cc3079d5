/** A SPIRE server for the comparison. It mints for an administrator on its own socket. */
import { mkdir, writeFile } from 'node:fs/promises'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import type { PeerSettings } from '../peers.ts'
import { freeDatabase, freePort, startPeer } from '../processes.ts'

export async function startSpire(
  binary: string,
  folder: string,
  postgresUrl: string,
): Promise<{ settings: PeerSettings; stop: () => Promise<void> }> {
  const socket = join(folder, 'spire.sock')
  const data = join(folder, 'spire')
  await mkdir(data)
  const config = join(folder, 'spire.conf')
  await writeFile(
    config,
    `server {
  bind_address = "127.0.0.1"
  bind_port = "${await freePort()}"
  socket_path = "${socket}"
  trust_domain = "bench.example"
  data_dir = "${data}"
  log_level = "INFO"
  log_file = "${join(folder, 'spire.log')}"
  audit_log_enabled = true
  ca_key_type = "ec-p256"
  jwt_key_type = "ec-p256"
  ratelimit { signing = false }
}
plugins {
  DataStore "sql" {
    plugin_data {
      database_type = "postgres"
      connection_string = "${await freeDatabase(postgresUrl, 'spire')}"
    }
  }
  KeyManager "memory" { plugin_data {} }
  NodeAttestor "join_token" { plugin_data {} }
}
`,
  )
  const stop = await startPeer(binary, ['run', '-config', config], () => existsSync(socket))
  return { settings: { address: `unix://${socket}` }, stop }
}
