// The state machines of databases that turn to TLS in the middle: what is cut into segments says the same as what is whole.
import { PostgresPreamble } from '../../gateway/upstream/starttls/postgres/preamble.ts'
import { PostgresRefusal } from '../../gateway/upstream/starttls/postgres/refusal.ts'
import { PostgresTranslator } from '../../gateway/upstream/starttls/postgres/translator.ts'
import * as wire from '../fixtures/postgres-wire.ts'
import type { Random } from './random.ts'
import { type FuzzTarget, promise, segments } from './target.ts'

interface Translated {
  readonly toServer: Buffer
  readonly toClient: Buffer
  readonly keys: string
  readonly outcome: string
}

function translate(side: 'fromClient' | 'fromServer', pieces: readonly Uint8Array[]): Translated {
  const keys: string[] = []
  const translator = new PostgresTranslator({
    onKey: (key) => keys.push(key.toString('hex')),
    onCancel: (packet) => ({ toServer: packet }),
  })
  const toServer: Buffer[] = []
  const toClient: Buffer[] = []
  let outcome = 'open'
  for (const piece of pieces) {
    if (outcome === 'transparent') (side === 'fromClient' ? toServer : toClient).push(Buffer.from(piece))
    if (outcome !== 'open') continue
    const moves = translator[side](Buffer.from(piece))
    toServer.push(moves.toServer ?? Buffer.alloc(0))
    toClient.push(moves.toClient ?? Buffer.alloc(0))
    if (moves.failure !== undefined) outcome = moves.failure.code
    else if (moves.transparent !== undefined) outcome = 'transparent'
  }
  const all = { toServer: Buffer.concat(toServer), toClient: Buffer.concat(toClient) }
  return { ...all, keys: keys.join(), outcome }
}

function checkTranslator(side: 'fromClient' | 'fromServer') {
  return (input: Uint8Array, random: Random): void => {
    const whole = translate(side, [input])
    const cut = translate(side, segments(input, random))
    promise(cut.outcome === whole.outcome, 'another outcome in segments')
    promise(cut.keys === whole.keys, 'another key in segments')
    promise(cut.toServer.equals(whole.toServer), 'the server is told something else in segments')
    // What goes to the client before a failure depends on how much had come.
    const failed = whole.outcome !== 'open' && whole.outcome !== 'transparent'
    promise(failed || cut.toClient.equals(whole.toClient), 'the client is told something else in segments')
    const plus = wire.authentication(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0')
    promise(whole.outcome === 'transparent' || !whole.toClient.includes(plus), 'channel binding is offered')
  }
}

/** The first byte says who speaks: an odd one the server, with what follows; both halves are one turn each. */
function checkPreamble(input: Uint8Array, random: Random): void {
  const machine = new PostgresPreamble()
  const passed: Buffer[] = []
  for (const piece of segments(input, random)) {
    const [first = 0] = piece
    const bytes = Buffer.from(piece)
    const step = first % 2 === 1 && piece.length < 3 ? machine.fromServer(bytes) : machine.fromClient(bytes)
    passed.push(step.toServer)
    promise(step.toServer.length === 0 || step.toServer.length === 8, 'half a packet goes up')
    if (step.next !== 'plain') break
  }
  const up = Buffer.concat(passed)
  promise(up.length <= 16, 'more than both requests goes up in plaintext')
  for (let offset = 0; offset < up.length; offset += 8) {
    const packet = up.subarray(offset, offset + 8)
    promise(packet.equals(wire.SSL_REQUEST) || packet.equals(wire.GSSENC_REQUEST), 'something else goes up')
  }
}

function checkRefusal(input: Uint8Array, random: Random): void {
  const tell = (pieces: readonly Uint8Array[]) => {
    const refusal = new PostgresRefusal({ kind: 'denied', text: 'no' })
    const replies: Buffer[] = []
    for (const piece of pieces) {
      const { reply, over } = refusal.answer(Buffer.from(piece))
      replies.push(reply)
      if (over) break
    }
    return Buffer.concat(replies).toString('latin1')
  }
  const said = tell([input])
  promise(said === tell(segments(input, random)), 'another refusal in segments')
  const words = wire.error('28000', 'no').toString('latin1')
  promise(/^N{0,3}$/.test(said.endsWith(words) ? said.slice(0, -words.length) : said), 'more than a refusal')
}

const KEY = wire.key(4711, Buffer.from('5ec2e7a1', 'hex'))
const CLIENTS: [Uint8Array, ...Uint8Array[]] = [
  Buffer.concat([wire.GSSENC_REQUEST, wire.SSL_REQUEST, wire.STARTUP]),
  wire.STARTUP_3_2,
  wire.cancelRequest(KEY),
  Buffer.from('160301', 'hex'),
]

export const DATABASE_TARGETS: readonly FuzzTarget[] = [
  { name: 'postgres-client', samples: CLIENTS, check: checkTranslator('fromClient') },
  {
    name: 'postgres-server',
    samples: [
      Buffer.concat([
        wire.authentication(10, 'SCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0'),
        wire.authentication(11, 'r=x'),
        wire.greeting(KEY),
      ]),
      Buffer.concat([wire.message('v', Buffer.alloc(8)), wire.error('28P01', 'no')]),
    ],
    check: checkTranslator('fromServer'),
  },
  { name: 'postgres-preamble', samples: CLIENTS, check: checkPreamble },
  { name: 'postgres-refusal', samples: CLIENTS, check: checkRefusal },
]
