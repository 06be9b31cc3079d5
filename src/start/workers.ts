/**
 * Workers. The primary prepares the store (migrations, first start, files in the data directory) and owns the metrics
 * listener; each worker is a whole server on the shared port, with its own batch, snapshot and certificate.
 */
import cluster, { type Worker } from 'node:cluster'
import { createClosing } from './closing.ts'
import type { Config } from '../config.ts'
import { listen, metricsApp } from './listeners.ts'
import { openStore } from './open-store.ts'
import { type Running, start } from './server.ts'
import type { Logger } from '../telemetry/log.ts'
import { type MetricSnapshot, renderTogether } from '../telemetry/metrics.ts'

type Parts = { log: Logger; pid: number }

/** The number of this process among its workers; nothing in the primary. */
export const workerNumber = (): number | undefined => (cluster.isWorker ? cluster.worker?.id : undefined)

/** Runs what this process is: a single server, the primary of several, or one of them. */
export async function serve(config: Config, parts: Parts): Promise<Pick<Running, 'stop'>> {
  if (!cluster.isWorker && config.workers > 1) return primary(config, parts)
  // The channel to the primary would keep a worker alive that has nothing left to do.
  const leave = (): void => void cluster.worker?.disconnect()
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

/** A worker that dies is started again, but not faster than this: a fault at start must not become a hot loop. */
const restartAfterMs = 1000

async function primary(config: Config, { log }: Parts): Promise<Pick<Running, 'stop'>> {
  // Opened once, so that workers find a store that is ready, then left to them.
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
  const gone = workers.map((worker) => new Promise((resolve) => worker?.once('exit', resolve)))
  for (const worker of workers) worker?.process.kill('SIGTERM')
  await Promise.all(gone)
}

/** One that ends before any has listened has said why: what keeps it from starting will keep the next one, too. */
const firstReady = (): Promise<void> =>
  new Promise((resolve, reject) => {
    cluster.once('listening', () => resolve())
    cluster.once('exit', ({ id }: Worker, code: number, signal?: string) =>
      reject(new Error(`worker ${id} ended (${signal ?? code}) before it listened; its own words are above`)),
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

/** Asks every worker; one that doesn't answer in time is left out of this scrape. */
async function renderAll(): Promise<{ text: string; type: string }> {
  const workers = Object.values(cluster.workers ?? {}).filter((worker) => worker !== undefined)
  const answers = await Promise.all(workers.map(askMetrics))
  const text = await renderTogether(answers.filter((answer) => answer !== undefined))
  return { text, type: 'text/plain; version=0.0.4; charset=utf-8' }
}

function askMetrics(worker: Worker): Promise<MetricSnapshot | undefined> {
  return new Promise((resolve) => {
    const timer = setTimeout(() => resolve(undefined), scrapeMs)
    worker.once('message', (answer: Answer) => {
      clearTimeout(timer)
      resolve(answer.metrics)
    })
    worker.send('metrics')
  })
}
