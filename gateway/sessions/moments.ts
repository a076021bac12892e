// At which moments things (sessions, connections) are to be looked at again, as buckets of a quarter of a second: setting, moving and removing
// one costs the same however many there are, and there is one timer for all of them.
export const BUCKET_MS = 250
/** The bucket of what was past when it was set: due with the next tick, whatever the clock does until then. */
const OVERDUE = -1

export interface MomentsOptions<Item> {
  readonly now: () => Date
  /** Those whose moment has come; each is told once. */
  readonly onDue: (items: Iterable<Item>) => void
  readonly tickMs?: number
}

export class Moments<Item> {
  readonly #options: MomentsOptions<Item>
  readonly #buckets = new Map<number, Set<Item>>()
  readonly #bucketOf = new Map<Item, number>()
  #timer: NodeJS.Timeout | null = null
  /** The last bucket that is over. */
  #done: number

  constructor(options: MomentsOptions<Item>) {
    this.#options = options
    this.#done = this.#bucketNow()
  }

  get size(): number {
    return this.#bucketOf.size
  }

  /** In place of the moment that it had; null = none. One that is past comes with the next tick. */
  set(item: Item, at: Date | null): void {
    this.delete(item)
    if (at === null) return
    if (this.#bucketOf.size === 0) this.#start()
    // Rounded up: at the moment itself the answer is another, before it is not yet.
    const own = Math.ceil(at.getTime() / BUCKET_MS)
    const bucket = own <= this.#done ? OVERDUE : own
    const items = this.#buckets.get(bucket)
    if (items === undefined) this.#buckets.set(bucket, new Set([item]))
    else items.add(item)
    this.#bucketOf.set(item, bucket)
  }

  delete(item: Item): void {
    const bucket = this.#bucketOf.get(item)
    if (bucket === undefined) return
    this.#bucketOf.delete(item)
    const items = this.#buckets.get(bucket)
    items?.delete(item)
    if (items?.size === 0) this.#buckets.delete(bucket)
    if (this.#bucketOf.size === 0) this.close()
  }

  close(): void {
    if (this.#timer !== null) clearInterval(this.#timer)
    this.#timer = null
  }

  #bucketNow(): number {
    return Math.floor(this.#options.now().getTime() / BUCKET_MS)
  }

  #start(): void {
    this.#done = this.#bucketNow()
    this.#timer = setInterval(() => this.#tick(), this.#options.tickMs ?? BUCKET_MS)
    this.#timer.unref()
  }

  #tick(): void {
    const current = this.#bucketNow()
    const due: Item[] = []
    for (const bucket of this.#passed(current)) {
      for (const item of this.#buckets.get(bucket) ?? []) {
        due.push(item)
        this.#bucketOf.delete(item)
      }
      this.#buckets.delete(bucket)
    }
    // Also backwards, where the clock was set back: moments that were far away stay so.
    this.#done = current
    if (this.#bucketOf.size === 0) this.close()
    if (due.length > 0) this.#options.onDue(due)
  }

  /** Whichever are fewer: the buckets since the last tick, or those that there are, where the clock has leapt. */
  #passed(current: number): readonly number[] {
    const gap = current - this.#done
    if (gap > this.#buckets.size) return [...this.#buckets.keys()].filter((bucket) => bucket <= current)
    return [OVERDUE, ...Array.from({ length: Math.max(0, gap) }, (_, index) => this.#done + 1 + index)]
  }
}
