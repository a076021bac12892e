// startTls: postgres, put together.
import { AdaptedStream } from './adapted-stream.ts'
import { cancel } from './postgres/cancel.ts'
import { CancelKeys, type CancelScope } from './postgres/cancel-keys.ts'
import { PostgresPreamble } from './postgres/preamble.ts'
import { PostgresRefusal } from './postgres/refusal.ts'
import { PostgresTranslator } from './postgres/translator.ts'
import { requestTls } from './postgres/upgrade.ts'
import type { AdaptContext, StartTls, Upgraded } from './types.ts'

export function createPostgres(): StartTls {
  const keys = new CancelKeys()
  const adapt: Upgraded['adapt'] = (tls, context) => {
    const scope = scopeOf(context)
    const gone = new AbortController()
    let forget: () => void = () => {}
    const translator = new PostgresTranslator({
      onKey(key) {
        forget()
        const forgets = [keys.remember(scope, key, context.address), context.onCancelKey(key)]
        forget = () => {
          for (const each of forgets) each()
        }
      },
      onCancel: (packet, key) => cancel(packet, keys.find(scope, key), context, gone.signal),
    })
    const stream = new AdaptedStream(tls, translator)
    stream.once('close', () => {
      forget()
      gone.abort()
    })
    return stream
  }
  return {
    name: 'postgres',
    async upgrade(raw, destination) {
      // The ALPN of direct TLS stands in the destination's `alpn`, and a server must select it.
      if (!destination.startTlsDirect) await requestTls(raw)
      return { adapt }
    },
    preamble: () => new PostgresPreamble(),
    refusal: (words) => new PostgresRefusal(words),
  }
}

function scopeOf({ destination, host, port }: AdaptContext): CancelScope {
  return { destination: destination.name, host, port }
}
