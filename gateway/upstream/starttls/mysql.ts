// MySQL and MariaDB. The server greets; the client answers by an SSLRequest instead of its login, and begins TLS at once.
import { AdaptedStream } from './adapted-stream.ts'
import { ascend } from './ascend.ts'
import { malformed } from './failures.ts'
import { type Ascent, NOTHING } from './machine.ts'
import { type Greeting, readGreeting } from './mysql/greeting.ts'
import { errorPacket, packet } from './mysql/packets.ts'
import { MysqlPreamble } from './mysql/preamble.ts'
import { LoginPrefixes } from './mysql/prefixes.ts'
import { MysqlTranslator } from './mysql/translator.ts'
import { refusingAtOnce } from './refusals.ts'
import type { AdaptContext, Refusing, RefusalWords, StartTls } from './types.ts'

/** Access denied; too many connections, which clients and pools try again. */
const DENIED = 1045
const UNAVAILABLE = 1040

/** `declared`: the 32 bytes of the SSLRequest. */
export function mysqlAscent(declared: Buffer): Ascent<Greeting> {
  let held: Buffer = NOTHING
  return {
    opening: NOTHING,
    feed(bytes) {
      held = Buffer.concat([held, bytes])
      const read = readGreeting(held)
      if (read === null) return { next: 'plain', say: NOTHING }
      if (held.length > read.first.bytes.length) throw malformed('the server spoke before it was asked')
      return { next: 'tls', say: packet(1, declared), kept: read.greeting }
    },
  }
}

/** Without SQLSTATE, which a client understands only when it has said so. */
export function mysqlRefusal(words: RefusalWords): Refusing {
  return refusingAtOnce(words, ({ kind, text }) =>
    errorPacket(0, kind === 'denied' ? DENIED : UNAVAILABLE, null, text),
  )
}

export function createMysql(): StartTls {
  const prefixes = new LoginPrefixes()
  return {
    name: 'mysql',
    async upgrade(raw, destination) {
      const declared = prefixes.guess(destination.name)
      const greeting = await ascend(raw, mysqlAscent(declared))
      const translator = (context: AdaptContext) =>
        new MysqlTranslator({
          greeting,
          declared,
          learn: (prefix) => prefixes.learn(destination.name, prefix),
          again: (prefix) => again(prefix, context),
        })
      return { adapt: (tls, context) => new AdaptedStream(tls, translator(context)) }
    },
    preamble: () => new MysqlPreamble(),
    refusal: mysqlRefusal,
  }
}

async function again(declared: Buffer, context: AdaptContext) {
  const { promise, resolve } = Promise.withResolvers<Greeting>()
  const reopened = await context.reopen(context.address, async (raw) => {
    resolve(await ascend(raw, mysqlAscent(declared)))
    return { adapt: (tls) => tls }
  })
  return { greeting: await promise, reopened }
}
