// Builds the programs that the interop suite compares Purser with, from the Go module proxy alone, outside the tree:
// ~/.cache/purser-interop/<name>-<version>-<hash of the module>/<name>. An existing binary is not built again.
// By hand: node --import tsx test/interop/build.ts

import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { existsSync, readdirSync, readFileSync } from 'node:fs'
import { mkdir, rename } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'

/** Paths of the built binaries. */
export interface Peers {
  readonly checker: string
  readonly etcd: string
  readonly kubeApiserver: string
}

/** The suite is sound, but this machine has no Go, or its Go cannot reach the modules. */
export class PeersUnavailable extends Error {}

interface Peer {
  readonly name: string
  readonly folder: string
  /** The module whose version names the binary; none when the binary is built from our own code. */
  readonly follows?: string
  readonly ldflags?: (version: string) => string
}

const checker: Peer = { name: 'checker', folder: 'go' }
const etcd: Peer = { name: 'etcd', folder: 'kube/etcd', follows: 'go.etcd.io/etcd/server/v3' }
const kubeApiserver: Peer = {
  name: 'kube-apiserver',
  folder: 'kube/apiserver',
  follows: 'k8s.io/kubernetes',
  // Without these the server reports v0.0.0-master, which kubectl and feature defaults cannot handle.
  ldflags: (version) => {
    const [major = '', minor = ''] = version.slice(1).split('.')
    const set = { gitVersion: version, gitMajor: major, gitMinor: minor }
    return Object.entries(set)
      .map(([name, value]) => `-X k8s.io/component-base/version.${name}=${value}`)
      .join(' ')
  },
}

const MINUTE = 60_000

/**
 * Builds the peers that are missing from the cache, the quick ones first; about six minutes on two cores when all are.
 * @param say takes one line of progress
 * @throws {PeersUnavailable} where something is missing that only Go or the module proxy could give
 */
export async function buildPeers(say: (line: string) => void): Promise<Peers> {
  return {
    checker: await buildOnce(checker, say),
    etcd: await buildOnce(etcd, say),
    kubeApiserver: await buildOnce(kubeApiserver, say),
  }
}

async function buildOnce(peer: Peer, say: (line: string) => void): Promise<string> {
  const source = fileURLToPath(new URL(peer.folder, import.meta.url))
  const version = peer.follows === undefined ? '' : requiredVersion(source, peer.follows)
  const ldflags = `-s -w ${peer.ldflags?.(version) ?? ''}`.trim()
  const title = `${peer.name} ${version}`.trimEnd()
  const key = `${title.replace(' ', '-')}-${moduleHash(source, ldflags)}`
  const folder = join(homedir(), '.cache', 'purser-interop', key)
  const binary = join(folder, peer.name)
  if (existsSync(binary)) return binary

  const started = Date.now()
  const elapsed = () => `${Math.round((Date.now() - started) / 1000)} s`
  say(`${title}: fetching modules`)
  const packages = await fetchModules(source)
  await mkdir(folder, { recursive: true })
  // Built beside its final path and then renamed, so that an interrupted build is never taken as complete.
  const unfinished = `${binary}.${process.pid}`
  let compiled = 0
  const ticker = setInterval(
    () => say(`${peer.name}: ${compiled} of at most ${packages} packages, ${elapsed()}`),
    15_000,
  )
  try {
    const flags = ['-v', '-trimpath', '-mod=readonly', '-buildvcs=false', '-ldflags', ldflags, '-o', unfinished]
    const run = await go(source, ['build', ...flags, '.'], 60 * MINUTE, () => (compiled += 1))
    if (run.code !== 0) throw new Error(`go build of ${peer.name} failed:\n${lastLines(run.stderr)}`)
  } finally {
    clearInterval(ticker)
  }
  await rename(unfinished, binary)
  say(`${title}: built in ${elapsed()} as ${binary}`)
  return binary
}

function requiredVersion(source: string, modulePath: string): string {
  const line = readFileSync(join(source, 'go.mod'), 'utf8')
    .split('\n')
    .find((line) =>
      line
        .replace(/^require /, '')
        .trim()
        .startsWith(`${modulePath} v`),
    )
  const version = line && / (v\d\S*)/.exec(line)?.[1]
  if (!version) throw new Error(`${source}/go.mod doesn't require ${modulePath}`)
  return version
}

function moduleHash(source: string, ldflags: string): string {
  const hash = createHash('sha256').update(`${process.platform} ${process.arch} ${ldflags}\n`)
  for (const file of readdirSync(source).sort()) {
    hash.update(`${file}\n`).update(readFileSync(join(source, file)))
  }
  return hash.digest('hex').slice(0, 12)
}

// Go's messages when the modules are unreachable, or when it is too old and cannot get a newer version.
// A wrong checksum is not among them: that must fail.
const OUT_OF_REACH = new RegExp(
  [
    'dial tcp|no such host|connection re(fused|set)|i/o timeout|TLS handshake|network is unreachable',
    'x509: certificate|module lookup disabled|reading https?://.*: [45]\\d\\d |unexpected EOF',
    'requires go >=|invalid go version|toolchain not available|download go1\\.',
  ].join('|'),
)

/** Loads every package once, which downloads what the module cache lacks; returns their number. */
async function fetchModules(source: string): Promise<number> {
  const run = await go(source, ['list', '-mod=readonly', '-deps', '.'], 15 * MINUTE)
  if (run.code === 0) return run.stdout.trim().split('\n').length
  if (run.code === null) throw new PeersUnavailable('the Go modules did not arrive within 15 minutes')
  const reason = run.stderr.split('\n').find((line) => OUT_OF_REACH.test(line))
  if (reason !== undefined) throw new PeersUnavailable(`Go can't get the modules: ${reason.trim().slice(0, 300)}`)
  throw new Error(`go list in ${source} failed:\n${lastLines(run.stderr)}`)
}

interface Run {
  readonly code: number | null
  readonly stdout: string
  readonly stderr: string
}

function go(cwd: string, args: readonly string[], timeout: number, onErrorLine?: () => void): Promise<Run> {
  return new Promise((resolve, reject) => {
    // A go.work or a GOFLAGS of the caller must not change the build.
    const env = { ...process.env, CGO_ENABLED: '0', GOWORK: 'off', GOFLAGS: '' }
    const child = spawn('go', args, { cwd, env, timeout, stdio: ['ignore', 'pipe', 'pipe'] })
    let stdout = ''
    let stderr = ''
    child.stdout.setEncoding('utf8').on('data', (text: string) => (stdout += text))
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      stderr += text
      for (let at = text.indexOf('\n'); at >= 0; at = text.indexOf('\n', at + 1)) onErrorLine?.()
    })
    child.once('error', (error: NodeJS.ErrnoException) => {
      reject(error.code === 'ENOENT' ? new PeersUnavailable('Go is not installed') : error)
    })
    child.once('close', (code) => resolve({ code, stdout, stderr }))
  })
}

function lastLines(text: string): string {
  return text.trimEnd().split('\n').slice(-30).join('\n')
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const peers = await buildPeers((line) => process.stdout.write(`${line}\n`))
  process.stdout.write(
    Object.values(peers)
      .map((path) => `${String(path)}\n`)
      .join(''),
  )
}
