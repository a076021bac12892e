// The pace of one direction of one session: what it has moved is taken from the buckets of its destination and of its
// workload, and where one of them is empty it waits, unread, until each has had it in line.
import type { ByteBucket, Waiter } from './token-bucket.ts'

/** What the relay asks of it. */
export interface Pace {
  /** Those bytes were moved. False where nothing more is to be read before `wait` has called back. */
  spend(bytes: number): boolean
  wait(resume: () => void): void
  /** The session is over: what is in line leaves it. */
  end(): void
}

export class Flow implements Pace, Waiter {
  /** Asked anew each time: limits change while sessions live. */
  readonly #buckets: () => readonly ByteBucket[]
  #paid: Map<ByteBucket, number> | null = null
  /** That have let it pass in this wait. */
  #passed: Set<ByteBucket> | null = null
  #in: ByteBucket | null = null
  #resume: (() => void) | null = null

  constructor(buckets: () => readonly ByteBucket[]) {
    this.#buckets = buckets
  }

  spend(bytes: number): boolean {
    let free = true
    for (const bucket of this.#buckets()) {
      const paid = Math.min(bytes, this.#paid?.get(bucket) ?? 0)
      if (paid > 0) this.#paid?.set(bucket, (this.#paid.get(bucket) ?? 0) - paid)
      bucket.take(bytes - paid)
      // With something left of its turn it is not to wait for another.
      if (bucket.blocked && (this.#paid?.get(bucket) ?? 0) === 0) free = false
    }
    return free
  }

  wait(resume: () => void): void {
    this.#resume = resume
    this.#passed = null
    this.#next()
  }

  granted(bucket: ByteBucket, bytes: number): void {
    this.#paid ??= new Map()
    this.#paid.set(bucket, (this.#paid.get(bucket) ?? 0) + bytes)
    this.#passed ??= new Set()
    this.#passed.add(bucket)
    this.#in = null
    this.#next()
  }

  end(): void {
    this.#resume = null
    this.#in?.leave(this)
    this.#in = null
    // What was paid and not used is the others'.
    for (const [bucket, bytes] of this.#paid ?? []) bucket.take(-bytes)
    this.#paid = null
  }

  #next(): void {
    const passed = this.#passed
    const bucket = this.#buckets().find((one) => one.blocked && !(passed?.has(one) ?? false))
    if (bucket !== undefined) {
      this.#in = bucket
      return bucket.enter(this)
    }
    const resume = this.#resume
    this.#resume = null
    resume?.()
  }
}
