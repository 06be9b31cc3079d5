/**
 * Worker processes. The primary prepares the store (migrations, first start, files in the data directory) and owns the
 * metrics listener. Each worker is a whole server on the shared port, with its own batch, snapshot and certificate.
 */
import cluster, { type Worker } from 'node:cluster'
import { createClosing } from './closing.ts'
import type { Config } from '../config.ts'
import { openStore } from './open-store.ts'
import type { Running } from './server.ts'
import type { Logger } from '../telemetry/log.ts'
import type { MetricSnapshot } from '../telemetry/metrics.ts'

type Parts = { log: Logger; pid: number }

/** The number of this worker; undefined in the primary. */
export const workerNumber = (): number | undefined => (cluster.isWorker ? cluster.worker?.id : undefined)

/** Runs a single server, the primary of several workers, or a worker. */
export async function serve(config: Config, parts: Parts): Promise<Pick<Running, 'stop'>> {
  if (!cluster.isWorker && config.workers > 1) return primary(config, parts)
  // An open channel to the primary keeps the process alive.
  const leave = (): void => void cluster.worker?.disconnect()
  // Loaded on demand: the primary needs none of it.
  const { start } = await import('./server.ts')
  const running = await start(config, { ...parts, alone: !cluster.isWorker }).catch((error: unknown) => {
    leave()
    throw error
  })
  if (cluster.isWorker) answerMetrics(running)
  return {
    async stop() {
      await running.stop()
      leave()
    },
  }
}

/** Pause before a dead worker is replaced, so that a fault at start does not become a hot loop. */
const restartAfterMs = 1000

async function primary(config: Config, { log }: Parts): Promise<Pick<Running, 'stop'>> {
  // The primary opens the store once, so that workers find it ready.
  const { db } = await openStore(config, { log })
  await db.close()
  const closing = createClosing()
  let stopping = false
  const fork = (): void => void cluster.fork()
  cluster.on('exit', (worker: Worker, code: number) => {
    if (stopping) return
    log.error('worker.died', { worker: worker.id, status: code })
    setTimeout(() => !stopping && fork(), restartAfterMs)
  })
  closing.add(endWorkers)
  closing.add(() => (stopping = true))
  try {
    const ready = firstReady()
    for (let n = 0; n < config.workers; n++) fork()
    await ready
    if (config.metricsListen) {
      // Loaded while the workers serve already.
      const { listen, metricsApp } = await import('./listeners.ts')
      const metrics = await listen(metricsApp(renderAll), config.metricsListen, undefined)
      closing.add(() => metrics.drain(0))
    }
  } catch (error) {
    await closing.run()
    throw error
  }
  return { stop: () => closing.run() }
}

async function endWorkers(): Promise<void> {
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined && !worker.isDead())
  const exits = workers.map((worker) => new Promise((resolve) => worker?.once('exit', resolve)))
  for (const worker of workers) worker?.process.kill('SIGTERM')
  await Promise.all(exits)
}

/** A worker that ends before any listens ends the start: the next worker would fail in the same way. */
const firstReady = (): Promise<void> =>
  new Promise((resolve, reject) => {
    cluster.once('listening', () => resolve())
    cluster.once('exit', ({ id }: Worker, code: number, signal?: string) =>
      reject(new Error(`worker ${id} ended (${signal ?? code}) before it listened: see its message above`)),
    )
  })

type Answer = { metrics: MetricSnapshot }

function answerMetrics(running: Running): void {
  const { worker } = cluster
  worker?.on('message', (message) => {
    if (message === 'metrics') void running.metrics().then((metrics) => worker.send({ metrics } satisfies Answer))
  })
}

const scrapeMs = 2000

/** Collects the metrics of every worker; a worker that does not answer in time is left out. */
async function renderAll(): Promise<{ text: string; type: string }> {
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
  const answers = await Promise.all(workers.map(requestMetrics))
  const { renderTogether } = await import('../telemetry/metrics.ts')
  const text = await renderTogether(answers.filter((answer) => answer !== undefined))
  return { text, type: 'text/plain; version=0.0.4; charset=utf-8' }
}

function requestMetrics(worker: Worker): Promise<MetricSnapshot | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), scrapeMs)
    worker.once('message', (answer: Answer) => {
      clearTimeout(timer)
      resolve(answer.metrics)
    })
    worker.send('metrics')
  })
}
