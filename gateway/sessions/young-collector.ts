// When V8 collects the chunks that a relay could not free itself, those of HTTP/2 above all. Each is a small object that holds up
// to 64 KiB outside of V8's heap; V8 collects the whole heap, with all that live sessions hold, whenever 64 MiB of such memory
// have come since the last time, and the young objects alone, which these are, only when those themselves have filled their
// space. So that is asked for in time: it takes a millisecond, whatever lives.

/** Half of what V8 waits for (kExternalAllocationSoftLimit). */
const AFTER_BYTES = 32 * 1024 * 1024

export interface YoungCollector {
  /** A relay has read so many bytes into memory that only V8 will free. */
  readonly left: (bytes: number) => void
}

/** `collect` collects the young generation, in a turn of its own; missing where Node was started without `--expose-gc`. */
export function createYoungCollector(collect: (() => void) | undefined = exposed()): YoungCollector {
  if (collect === undefined) return { left: () => {} }
  let since = 0
  return {
    left(bytes) {
      since += bytes
      if (since < AFTER_BYTES) return
      since = 0
      // Not within a callback of the socket that was read.
      setImmediate(collect)
    },
  }
}

function exposed(): (() => void) | undefined {
  const { gc } = globalThis
  return gc === undefined ? undefined : () => gc({ type: 'minor' })
}
