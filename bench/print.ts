/** Prints results as aligned lines, one for each case. */
const say = (line: string): void => void process.stdout.write(`${line}\n`)

export const printTitle = (title: string): void => say(`\n${title}`)

export function printCeiling(name: string, rate: number, micros: number): void {
  say(`  ${name.padEnd(46)} ${Math.round(rate).toLocaleString('en').padStart(8)}/s  ${Math.round(micros)} µs CPU each`)
}

/** Prints percentiles of the milliseconds of many runs. */
export function printTimes(name: string, times: number[]): void {
  const sorted = times.toSorted((a, b) => a - b)
  const at = (share: number): string =>
    (sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? 0).toFixed(1)
  say(`  ${name.padEnd(46)} p50 ${at(0.5).padStart(6)} ms  p99 ${at(0.99).padStart(6)} ms`)
}

type Row = {
  rate: number
  p50: number
  p99: number
  serverMicros: number
  databaseMicros?: number
}

export function printRow(name: string, row: Row): void {
  const database = row.databaseMicros === undefined ? '' : `, Postgres ${Math.round(row.databaseMicros)} µs`
  say(
    `  ${name.padEnd(46)} ${Math.round(row.rate).toLocaleString('en').padStart(8)}/s  p50 ${row.p50.toFixed(1)} ms  p99 ${row.p99.toFixed(1)} ms  server ${Math.round(row.serverMicros)} µs CPU${database}`,
  )
}
