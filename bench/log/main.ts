/** `npm run bench -- --log`: questions, proofs, revocations, export and start beside a large log. */
import { tmpdir } from 'node:os'
import { setTimeout as pause } from 'node:timers/promises'
import { Client } from 'pg'
import { startOwnPostgres } from '../../test/support/postgres.ts'
import { printTitle } from '../print.ts'
import { megabytesOf } from '../scale.ts'
import { serving } from '../serving.ts'
import { type Server, ask, percentile } from './ask.ts'
import type { LogShape } from './entries.ts'
import { exportAndVerify } from './export.ts'
import { fillLog } from './fill.ts'
import { type QuestionCase, questionCases } from './questions.ts'

const say = (line: string): void => void process.stdout.write(`${line}\n`)

/** Above it, memory is not enough for the log: an entry takes about two kilobytes. */
const maxInMemory = 2_000_000

/** Plans go to the server log, where `auto_explain` writes them while its threshold is zero. */
const planSettings = {
  session_preload_libraries: 'auto_explain',
  'auto_explain.log_min_duration': '-1',
  'auto_explain.log_analyze': 'on',
  'auto_explain.log_buffers': 'on',
  'auto_explain.log_nested_statements': 'on',
}

type Plans = { during: (work: () => Promise<unknown>) => Promise<string[]> }

/** @param text the output of the database server so far */
async function openPlans(url: string, text: () => string): Promise<Plans & { close: () => Promise<void> }> {
  const client = new Client({ connectionString: url })
  await client.connect()
  const threshold = async (value: number): Promise<void> => {
    await client.query(`alter system set auto_explain.log_min_duration = ${value}`)
    await client.query('select pg_reload_conf()')
    // Backends read it between statements.
    await pause(200)
  }
  return {
    async during(work) {
      await threshold(0)
      const start = text().length
      await work()
      await threshold(-1)
      const parts = text()
        .slice(start)
        .split(/^(?=\S+ \S+ \S+ \[\d+\] )/m)
      return parts.filter((part) => part.includes('Query Text:') && /\b(log_entry|session|block)\b/.test(part))
    },
    close: () => client.end(),
  }
}

async function printAnswers(server: Server, questions: QuestionCase[], plans: Plans | undefined): Promise<void> {
  say(`  ${''.padEnd(44)}   first     p50     p99`)
  for (const question of questions) {
    const { first, warm } = await ask(server, question)
    const cell = (value: number): string => value.toFixed(1).padStart(6)
    const others = warm.length === 0 ? '' : `  ${cell(percentile(warm, 0.5))}  ${cell(percentile(warm, 0.99))}`
    say(`  ${question.name.padEnd(44)}  ${cell(first)}${others} ms`)
    const { ask: next } = question
    const repeat = { ...question, ask: (n: number) => next(n + 100), max: 1 }
    for (const plan of (await plans?.during(() => ask(server, repeat))) ?? []) say(plan.replaceAll(/^/gm, '      '))
  }
}

async function measure(size: number, withPlans: boolean): Promise<void> {
  let text = ''
  const postgres = await startOwnPostgres({
    ...(size > maxInMemory && { on: tmpdir() }),
    settings: { autovacuum: 'on', shared_buffers: '1GB', max_wal_size: '8GB', ...(withPlans && planSettings) },
    onLog: (part) => withPlans && (text += part),
  })
  let shape: LogShape | undefined
  let url = ''
  const fill = async (database: string): Promise<void> => {
    url = database
    const startedAt = performance.now()
    shape = await fillLog(database, size)
    const seconds = (performance.now() - startedAt) / 1000
    say(`  filled in ${seconds.toFixed(0)} s (${Math.round(size / seconds).toLocaleString('en')} entries/s)`)
  }
  try {
    await serving({ postgres, workers: 1, tls: true, fill }, async (running) => {
      const { port, roots, admin, startSeconds, workerPids } = running
      say(`  ready after ${startSeconds.toFixed(1)} s; ${megabytesOf(workerPids()).toFixed(0)} MB`)
      if (!shape) return
      const plans = withPlans ? await openPlans(url, () => text) : undefined
      await printAnswers({ port, roots, admin }, questionCases(shape), plans)
      await plans?.close()
      for (const line of await exportAndVerify(running)) say(`  ${line}`)
    })
  } finally {
    await postgres.stop()
  }
}

/** @param sizes numbers of entries in the log */
export async function logBench(sizes: readonly number[], withPlans: boolean): Promise<void> {
  for (const size of sizes) {
    printTitle(`A log of ${size.toLocaleString('en')} entries`)
    await measure(size, withPlans)
  }
}
