// The arithmetic of the bench: what several rounds come to, and how two products compare.

export interface Spread {
  readonly min: number
  readonly median: number
  readonly max: number
}

/** Of at least one value; the median of an even number is the mean of the two in the middle. */
export function spread(values: readonly number[]): Spread {
  const sorted = values.toSorted((a, b) => a - b)
  const [min, max] = [sorted[0], sorted.at(-1)]
  if (min === undefined || max === undefined) throw new RangeError('a spread of no values')
  const half = sorted.length >> 1
  const upper = sorted[half] ?? max
  const median = sorted.length % 2 === 1 ? upper : ((sorted[half - 1] ?? upper) + upper) / 2
  return { min, median, max }
}

/** The smallest value that `share` of them (0.99 = 99 of 100) do not exceed: the nearest rank. */
export function percentile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const found = sorted[Math.max(0, Math.ceil(share * sorted.length) - 1)]
  if (found === undefined) throw new RangeError('a percentile of no values')
  return found
}

/** One value a round, by product. */
export type Rounds = Readonly<Record<string, readonly number[]>>

export interface Ratio extends Spread {
  /** To whom. */
  readonly to: string
}

/**
 * How many times the better peer's figure `own` is. `median` is the ratio of the medians; `min` and `max` are of the ratios
 * within each round, in which both ran side by side. The better peer is the one with the smaller median.
 */
export function ratioToBetter(own: readonly number[], peers: Rounds): Ratio {
  const [better] = Object.entries(peers).toSorted(([, a], [, b]) => spread(a).median - spread(b).median)
  if (better === undefined) throw new RangeError('a ratio to nobody')
  const [to, values] = better
  const within = own.flatMap((value, round) => {
    const other = values[round]
    return other === undefined ? [] : [value / other]
  })
  const { min, max } = spread(within)
  return { to, min, median: spread(own).median / spread(values).median, max }
}
