/** A Postgres in a container, when an engine responds at once and already has an image. No image is pulled. */
import { stat } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { setTimeout } from 'node:timers/promises'
import type { TestPostgres } from './postgres.ts'

const images = ['18-alpine', '18', '17-alpine', '17', '16-alpine', '16', '15-alpine', '15', '14-alpine', '14'].map(
  (tag) => `postgres:${tag}`,
)
const patience = 5_000

async function engineMayAnswer(): Promise<boolean> {
  if (process.env['DOCKER_HOST']) return true
  const runtime = process.env['XDG_RUNTIME_DIR']
  const sockets = ['/var/run/docker.sock', join(homedir(), '.docker/run/docker.sock')]
  if (runtime) sockets.push(join(runtime, 'docker.sock'), join(runtime, 'podman/podman.sock'))
  const stats = await Promise.all(sockets.map((path) => stat(path).catch(() => undefined)))
  return stats.some((socket) => socket?.isSocket())
}

async function findImage(): Promise<string | undefined> {
  const { getContainerRuntimeClient, ImageName } = await import('testcontainers')
  const client = await getContainerRuntimeClient()
  for (const image of images) if (await client.image.exists(ImageName.fromString(image))) return image
  return undefined
}

/** Undefined when there is no engine, no image, or no answer within five seconds. */
export async function startContainer(): Promise<TestPostgres | undefined> {
  if (!(await engineMayAnswer())) return undefined
  // Its reaper has an image of its own, which would be pulled.
  process.env['TESTCONTAINERS_RYUK_DISABLED'] ??= 'true'
  const ending = new AbortController()
  const image = await Promise.race([
    findImage().catch(() => undefined),
    setTimeout(patience, undefined, { signal: ending.signal }).catch(() => undefined),
  ])
  ending.abort()
  if (image === undefined) return undefined
  const { GenericContainer, Wait } = await import('testcontainers')
  const container = await new GenericContainer(image)
    .withEnvironment({ POSTGRES_HOST_AUTH_METHOD: 'trust', POSTGRES_INITDB_ARGS: '--no-locale --encoding=UTF8' })
    .withCommand(['postgres', '-c', 'max_connections=200', '-c', 'autovacuum=off', '-c', 'jit=off'])
    .withExposedPorts(5432)
    // The image starts a first server for its set-up, and then the real one.
    .withWaitStrategy(Wait.forLogMessage(/ready to accept connections/, 2))
    .withStartupTimeout(60_000)
    .start()
    .catch(() => undefined)
  return (
    container && {
      url: `postgres://postgres@${container.getHost()}:${container.getMappedPort(5432)}/postgres`,
      what: `container ${image}`,
      stop: async () => void (await container.stop()),
    }
  )
}
