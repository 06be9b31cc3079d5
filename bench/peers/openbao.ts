/** An OpenBao server for the comparison: JWT login, PKI, versioned secrets, a file as its audit device. */
import { writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { audience, issuer, issuerKeys } from '../issuing.ts'
import type { PeerSettings } from '../peers.ts'
import { secretPaths } from '../register.ts'
import { freeDatabase, freePort, startPeer } from '../processes.ts'

type Reply = { keys_base64?: string[]; root_token?: string }

export async function startOpenBao(
  binary: string,
  folder: string,
  postgresUrl: string,
): Promise<{ settings: PeerSettings; stop: () => Promise<void> }> {
  const port = await freePort()
  const address = `http://127.0.0.1:${port}`
  const config = join(folder, 'bao.hcl')
  await writeFile(
    config,
    `storage "postgresql" { connection_url = "${await freeDatabase(postgresUrl, 'openbao')}" }
listener "tcp" {
  address = "127.0.0.1:${port}"
  tls_disable = true
}
audit "file" "requests" {
  options { file_path = "${join(folder, 'bao-audit.log')}" }
}
api_addr = "${address}"
ui = false
`,
  )
  let token = ''
  async function call(method: string, path: string, body: object): Promise<Reply> {
    const headers = { 'content-type': 'application/json', ...(token && { 'x-vault-token': token }) }
    const reply = await fetch(`${address}/v1/${path}`, { method, headers, body: JSON.stringify(body) })
    const text = await reply.text()
    if (!reply.ok) throw new Error(`OpenBao, ${method} ${path}: ${reply.status} ${text}`)
    return text === '' ? {} : JSON.parse(text)
  }
  const isUp = async (): Promise<boolean> => (await fetch(`${address}/v1/sys/init`)).ok
  const stop = await startPeer(binary, ['server', `-config=${config}`], isUp)

  const { keys_base64: keys = [], root_token: root = '' } = await call('PUT', 'sys/init', {
    secret_shares: 1,
    secret_threshold: 1,
  })
  await call('PUT', 'sys/unseal', { key: keys[0] })
  token = root
  await call('POST', 'sys/auth/jwt', { type: 'jwt' })
  await call('POST', 'auth/jwt/config', {
    jwt_validation_pubkeys: [issuerKeys.ES256.publicKey.export({ type: 'spki', format: 'pem' })],
    bound_issuer: issuer,
    jwt_supported_algs: ['ES256'],
  })
  await call('POST', 'auth/jwt/role/web', {
    role_type: 'jwt',
    user_claim: 'sub',
    bound_audiences: [audience],
    bound_subject: 'web',
    token_policies: ['web'],
    token_ttl: '1h',
    token_type: 'service',
  })
  await call('POST', 'sys/mounts/pki', { type: 'pki', config: { max_lease_ttl: '87600h' } })
  await call('POST', 'pki/root/generate/internal', {
    common_name: 'root',
    ttl: '87600h',
    key_type: 'ec',
    key_bits: 256,
  })
  await call('POST', 'pki/roles/web', {
    allow_any_name: true,
    allowed_uri_sans: ['spiffe://*'],
    key_type: 'ec',
    key_bits: 256,
    max_ttl: '1h',
    require_cn: false,
  })
  await call('POST', 'sys/mounts/secret', { type: 'kv', options: { version: '2' } })
  await call('POST', 'sys/policies/acl/web', {
    policy: 'path "pki/*" { capabilities = ["create", "update"] }\npath "secret/*" { capabilities = ["read"] }',
  })
  for (const path of secretPaths.slice(0, 3)) await writeSecret(call, path)
  return { settings: { address, operator: root }, stop }
}

/** The mount turns into a versioned one in the background, and refuses until then. */
async function writeSecret(call: (method: string, path: string, body: object) => Promise<unknown>, path: string) {
  for (let tries = 1; ; tries++) {
    try {
      return await call('POST', `secret/data/${path}`, { data: { password: 'x'.repeat(32) } })
    } catch (error) {
      if (tries === 50) throw error
      await new Promise((resolve) => setTimeout(resolve, 200))
    }
  }
}
