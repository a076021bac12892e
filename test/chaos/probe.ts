// Loaded into the gateway's process before the gateway (`--import`), to be asked from outside what it holds after all that can
// be freed was freed: resident memory alone says more about the allocator than about the program. Nothing else is changed.
import process from 'node:process'

export interface Held {
  /** Bytes of live objects. */
  readonly heap: number
  /** Bytes of buffers and of what native code holds for objects. */
  readonly external: number
  readonly resident: number
}

const collect = (globalThis as { gc?: () => void }).gc

process.on('message', (message) => {
  if (message !== 'held') return
  collect?.()
  collect?.()
  const { heapUsed, external, rss } = process.memoryUsage()
  process.send?.({ heap: heapUsed, external, resident: rss } satisfies Held)
})
// Else the listener would keep the process alive behind its drain.
process.channel?.unref()
