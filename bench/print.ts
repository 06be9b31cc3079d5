/** Prints results as aligned lines, one for each case. */
const say = (line: string): void => void process.stdout.write(`${line}\n`)

export const printText = (text: string): void => say(`  ${text}`)

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

type Turn = { rate: number; server: number; database: number }

/** The median of each side, and the mean ratio of the pairs with its standard error. */
export function printPair(name: string, pairs: [theirs: Turn, ours: Turn][]): void {
  const part = (member: keyof Turn, label: string): string => {
    const values = pairs.map(([theirs, ours]) => [theirs[member], ours[member]] as const)
    const [theirs, ours] = [median(values.map(([value]) => value)), median(values.map(([, value]) => value))]
    const { ratio, error } = meanRatio(values)
    return `${label} ${Math.round(theirs)} to ${Math.round(ours)} (${ratio.toFixed(3)} ± ${error.toFixed(3)})`
  }
  say(
    `  ${name.padEnd(32)} ${part('rate', 'rate')}  ${part('server', 'server µs')}  ${part('database', 'Postgres µs')}`,
  )
}

const median = (values: number[]): number => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

/** Without the eighth of the pairs at each end, in which something else took the machine. */
function meanRatio(values: (readonly [number, number])[]): { ratio: number; error: number } {
  const all = values.filter(([theirs, ours]) => theirs > 0 && ours > 0).map(([theirs, ours]) => Math.log(ours / theirs))
  const cut = Math.floor(all.length / 8)
  const logs = all.toSorted((a, b) => a - b).slice(cut, all.length - cut)
  const mean = logs.reduce((sum, log) => sum + log, 0) / logs.length
  const variance = logs.reduce((sum, log) => sum + (log - mean) ** 2, 0) / Math.max(logs.length - 1, 1)
  return { ratio: Math.exp(mean), error: Math.sqrt(variance / logs.length) }
}
