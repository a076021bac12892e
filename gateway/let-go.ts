// Takes from a closed socket or HTTP/2 stream what hangs on it, so that V8 collects a session with its young objects. Node keeps
// every stream until V8 next collects the whole heap (from some version behind 24.12.0 on; 24.21.0 and 26.12.1 do): a function
// literal that is assigned to a property (`state.onwrite = (er) => …`) is made among the old objects, and a collection of the
// young takes for alive whatever an old one can reach, be it dead itself. Through its listeners a socket reaches all of its
// session, so that each one would grow the old generation by 20 KiB, and every few hundred bring a collection of the whole heap.
import type { Duplex } from 'node:stream'

const ignore = (): void => {}
let closed: Duplex[] = []

/** To be called once for each; nobody may wait for an event of `stream` that comes later than a turn behind its `close`. */
export function letGoWhenClosed(stream: Duplex): void {
  stream.once('close', onClose)
}

function onClose(this: Duplex): void {
  closed.push(this)
  // A turn later, when whoever was told of the same event has done what it does in its own microtasks.
  if (closed.length === 1) setImmediate(letGo)
}

function letGo(): void {
  const streams = closed
  closed = []
  for (const stream of streams) {
    stream.removeAllListeners()
    // An error that nobody listens to would end the process, however late it comes.
    stream.on('error', ignore)
  }
}
