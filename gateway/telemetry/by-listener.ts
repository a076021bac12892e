// How many there are of something at each listener, for a gauge. A configuration may take a listener away and bring one of
// the same name, while connections of the old one go on: both count under the name. One that is gone has a series while
// there is anything of it, and none after that.
import type { Series } from './registry.ts'

export class OpenByListener {
  readonly #isListening: (listener: string) => boolean
  readonly #open = new Map<string, number>()

  constructor(isListening: (listener: string) => boolean) {
    this.#isListening = isListening
  }

  add(listener: string, change: 1 | -1): void {
    this.#open.set(listener, (this.#open.get(listener) ?? 0) + change)
  }

  /** As it stands. */
  series(): readonly Series[] {
    for (const [listener, open] of this.#open) {
      if (open === 0 && !this.#isListening(listener)) this.#open.delete(listener)
    }
    return [...this.#open].map(([listener, value]) => ({ labels: { listener }, value }))
  }
}
