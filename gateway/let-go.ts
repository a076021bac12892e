// Takes from a closed socket or HTTP/2 stream what hangs on it, so that most of a session is collected with V8's young objects.
// Node keeps every stream until V8 next collects the whole heap (24.21.0 and 26.12.1 do, 24.12.0 does not): a function literal
// that is assigned to a property, as `state.onwrite = (er) => …` is for each, is made among the old objects, and a collection of
// the young takes for alive whatever an old one can reach, be it dead itself. Through its listeners a socket reaches all of its
// session: each would leave 20 KiB to the old generation, where Node's own part of its streams is half of that.
import type { Duplex } from 'node:stream'

const ignore = (): void => {}

/** To be called once for each; nobody may wait for an event of `stream` that comes later than in the turn of its `close`. */
export function letGoWhenClosed(stream: Duplex): void {
  stream.once('close', onClose)
}

function onClose(this: Duplex): void {
  // Node may still have to emit an 'error' by a tick of the same turn.
  setImmediate(letGo, this)
}

function letGo(stream: Duplex): void {
  stream.removeAllListeners()
  // An error that nobody listens to would end the process, however late it comes.
  stream.on('error', ignore)
}
