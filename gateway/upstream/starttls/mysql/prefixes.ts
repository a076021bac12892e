// What the last client of a destination asked for, so that the SSLRequest of the next session, which has to be sent
// before its client has spoken, asks for the same. A wrong guess costs a second connection, never a wrong session.
import { CAPABILITY } from './packets.ts'
import { encrypted, PREFIX_BYTES } from './response.ts'

const MAX_DESTINATIONS = 1000

/** Long passwords, long flags, 4.1, transactions, secure connection, multiple results, plugins with long proofs, attributes. */
const USUAL =
  0x1 |
  0x4 |
  CAPABILITY.protocol41 |
  0x2000 |
  CAPABILITY.secureConnection |
  0x2_0000 |
  CAPABILITY.pluginAuth |
  0x10_0000 |
  CAPABILITY.pluginAuthLenenc
const USUAL_PACKET = 0x100_0000
const UTF8MB4_GENERAL_CI = 45

export class LoginPrefixes {
  readonly #last = new Map<string, Buffer>()

  /** 32 bytes, with CLIENT_SSL. */
  guess(destination: string): Buffer {
    const known = this.#last.get(destination)
    if (known !== undefined) return known
    const prefix = Buffer.alloc(PREFIX_BYTES)
    prefix.writeUInt32LE(USUAL, 0)
    prefix.writeUInt32LE(USUAL_PACKET, 4)
    prefix.writeUInt8(UTF8MB4_GENERAL_CI, 8)
    return encrypted(prefix)
  }

  learn(destination: string, prefix: Buffer): void {
    this.#last.delete(destination)
    this.#last.set(destination, Buffer.from(prefix))
    const [oldest] = this.#last.keys()
    if (this.#last.size > MAX_DESTINATIONS && oldest !== undefined) this.#last.delete(oldest)
  }
}
