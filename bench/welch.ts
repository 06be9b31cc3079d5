/** Whether two lists of times differ by more than chance. */

const mean = (values: readonly number[]): number => values.reduce((sum, value) => sum + value, 0) / values.length

const median = (values: readonly number[]): number =>
  values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0

function variance(values: readonly number[]): number {
  const middle = mean(values)
  return values.reduce((sum, value) => sum + (value - middle) ** 2, 0) / (values.length - 1)
}

/** The tail of the normal distribution on both sides, by the continued fraction of Laplace, or by the series near zero. */
function bothTails(z: number): number {
  if (z < 3) {
    let [term, sum] = [z, z]
    for (let n = 1; n < 60; n++) {
      term *= (-z * z) / (2 * n)
      sum += term / (2 * n + 1)
    }
    return 1 - sum * Math.sqrt(2 / Math.PI)
  }
  let fraction = z
  for (let n = 60; n > 0; n--) fraction = z + n / fraction
  return (Math.exp((-z * z) / 2) / fraction) * Math.sqrt(2 / Math.PI)
}

/** Welch's t-test. With hundreds of values on both sides, t is distributed normally. */
export function welch(some: readonly number[], others: readonly number[]): { t: number; p: number; ratio: number } {
  const error = Math.sqrt(variance(some) / some.length + variance(others) / others.length)
  const t = (mean(some) - mean(others)) / error
  return { t, p: bothTails(Math.abs(t)), ratio: median(some) / median(others) }
}
