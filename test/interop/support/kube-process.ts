// Runs one etcd and one kube-apiserver in a folder of their own, and removes everything when the test process dies.

import { spawn } from 'node:child_process'
import type { ChildProcess } from 'node:child_process'
import { generateKeyPairSync } from 'node:crypto'
import { closeSync, openSync, readFileSync, writeFileSync } from 'node:fs'
import { mkdtemp } from 'node:fs/promises'
import { createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { inject } from 'vitest'

/** A control plane whose API server accepts connections; it may not be ready yet. */
export interface ControlPlane {
  readonly url: string
  readonly issuer: string
  /** The CA that the API server created for itself. */
  readonly caPem: string
  /** The reason for its failure, or undefined while both processes live. */
  readonly failure: () => string | undefined
  readonly stop: () => Promise<void>
}

export interface ControlPlaneOptions {
  readonly name: string
  readonly issuer: string | undefined
  readonly adminToken: string
  readonly deadline: number
}

/** Starts both processes on a free port, and chooses another port when a third process has taken it meanwhile. */
export async function startControlPlane(options: ControlPlaneOptions): Promise<ControlPlane> {
  for (let attempt = 1; ; attempt += 1) {
    const plane = await launch(options)
    const failure = await untilServing(plane, options.deadline)
    if (failure === undefined) return plane.serving()
    await plane.stop()
    if (attempt === 3 || !failure.includes('address already in use')) throw new Error(failure)
  }
}

interface Launched {
  readonly logs: string
  readonly failure: () => string | undefined
  readonly serving: () => ControlPlane
  readonly stop: () => Promise<void>
}

async function launch({ name, issuer: requestedIssuer, adminToken }: ControlPlaneOptions): Promise<Launched> {
  const { etcd, kubeApiserver } = inject('peers')
  const folder = await mkdtemp(join(tmpdir(), `purser-kube-${name}-`))
  const url = `https://127.0.0.1:${await freePort()}`
  const issuer = requestedIssuer ?? url
  writeSigningKey(folder)
  writeFileSync(join(folder, 'tokens.csv'), `${adminToken},admin,admin,"system:masters"\n`, { mode: 0o600 })

  const running = [
    start(folder, 'etcd', etcd, etcdFlags(folder)),
    start(folder, 'kube-apiserver', kubeApiserver, apiserverFlags(folder, url, issuer)),
  ]
  const reaper = startReaper(folder, running)
  const failure = () => running.map((process) => process.failure()).find((text) => text !== undefined)
  return {
    logs: join(folder, 'kube-apiserver.log'),
    failure,
    serving: () => ({ url, issuer, caPem: generatedCa(folder), failure, stop: reaper }),
    stop: reaper,
  }
}

function etcdFlags(folder: string): string[] {
  // It listens on unix sockets only. The two addresses are required to be well-formed. No client connects to them.
  const unusedAddress = 'http://127.0.0.1:1'
  return [
    '--name=only',
    `--data-dir=${join(folder, 'etcd')}`,
    `--listen-client-urls=unix://${join(folder, 'etcd.sock')}`,
    `--listen-peer-urls=unix://${join(folder, 'peer.sock')}`,
    `--advertise-client-urls=${unusedAddress}`,
    `--initial-advertise-peer-urls=${unusedAddress}`,
    `--initial-cluster=only=${unusedAddress}`,
    '--unsafe-no-fsync',
  ]
}

function apiserverFlags(folder: string, url: string, issuer: string): string[] {
  return [
    `--etcd-servers=unix://${join(folder, 'etcd.sock')}`,
    `--cert-dir=${join(folder, 'certs')}`,
    '--bind-address=127.0.0.1',
    '--advertise-address=127.0.0.1', // or it looks for an interface that other machines reach
    '--endpoint-reconciler-type=none', // no Service points at it
    `--secure-port=${new URL(url).port}`,
    `--service-account-issuer=${issuer}`,
    `--service-account-jwks-uri=${url}/openid/v1/jwks`,
    `--service-account-key-file=${join(folder, 'sa.pub')}`,
    `--service-account-signing-key-file=${join(folder, 'sa.key')}`,
    '--service-cluster-ip-range=10.0.0.0/24',
    `--token-auth-file=${join(folder, 'tokens.csv')}`,
    '--authorization-mode=RBAC',
    '--disable-admission-plugins=ServiceAccount', // no controller runs that would make default service accounts
  ]
}

interface Process {
  readonly child: ChildProcess
  readonly ended: Promise<void>
  readonly failure: () => string | undefined
}

function start(folder: string, name: string, binary: string, flags: readonly string[]): Process {
  const path = join(folder, `${name}.log`)
  const log = openSync(path, 'w')
  const child = spawn(binary, flags, { cwd: folder, stdio: ['ignore', log, log] })
  closeSync(log)
  let failure: string | undefined
  child.once('error', (error) => (failure = `${name}: ${error.message}`))
  child.once('exit', (code, signal) => {
    if (signal !== 'SIGKILL') failure = `${name} ended with ${code ?? signal}:\n${tail(path)}`
  })
  const ended = new Promise<void>((resolve) => child.once('close', () => resolve()))
  return { child, ended, failure: () => failure }
}

/**
 * A shell that waits for its standard input to close, which also happens when this process is killed, and then kills
 * the servers and removes their folder. They hold nothing worth an orderly end.
 */
function startReaper(folder: string, running: readonly Process[]): () => Promise<void> {
  const script = 'read -r _; kill -9 "$@"; rm -rf "$0" || { sleep 1; rm -rf "$0"; }'
  const pids = running.flatMap(({ child }) => (child.pid === undefined ? [] : [String(child.pid)]))
  // Detached, so that Ctrl-C in the terminal does not end it before its cleanup.
  const reaper = spawn('sh', ['-c', script, folder, ...pids], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] })
  const reaped = new Promise<void>((resolve) => reaper.once('close', () => resolve()))
  return async () => {
    reaper.stdin.end()
    await Promise.all([reaped, ...running.map(({ ended }) => ended)])
  }
}

/** Returns why it will not serve, or undefined once it reports that it does. */
async function untilServing(plane: Launched, deadline: number): Promise<string | undefined> {
  for (;;) {
    const failure = plane.failure()
    if (failure !== undefined) return failure
    if (readFileSync(plane.logs, 'utf8').includes('Serving securely on')) return undefined
    if (Date.now() > deadline) return `kube-apiserver did not start in time:\n${tail(plane.logs)}`
    await sleep(50)
  }
}

function writeSigningKey(folder: string): void {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 })
  writeFileSync(join(folder, 'sa.key'), privateKey.export({ type: 'pkcs8', format: 'pem' }), { mode: 0o600 })
  writeFileSync(join(folder, 'sa.pub'), publicKey.export({ type: 'spki', format: 'pem' }))
}

/** Its certificate file holds the leaf and then the CA. */
function generatedCa(folder: string): string {
  const file = readFileSync(join(folder, 'certs', 'apiserver.crt'), 'utf8')
  return file.slice(file.lastIndexOf('-----BEGIN CERTIFICATE-----'))
}

function freePort(): Promise<number> {
  return new Promise((resolve, reject) => {
    const server = createServer()
    server.once('error', reject)
    server.listen(0, '127.0.0.1', () => {
      const address = server.address()
      server.close(() => {
        if (address !== null && typeof address === 'object') resolve(address.port)
        else reject(new Error('no port'))
      })
    })
  })
}

function tail(path: string): string {
  return readFileSync(path, 'utf8').trimEnd().split('\n').slice(-20).join('\n')
}
