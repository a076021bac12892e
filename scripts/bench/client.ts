// The workload of the bench: sessions through a product to the partner, each with a full handshake, over HTTP/1 CONNECT, as
// a plain mTLS connection (the peers), or as a stream of an HTTP/2 connection.
import http2 from 'node:http2'
import type { Duplex } from 'node:stream'
import tls from 'node:tls'
import { CIPHER } from './peers.ts'
import { PARTNER, type Pki, THROUGH } from './pki.ts'
import type { Product } from './product.ts'

export interface Client {
  /** A session of its own connection; a paused stream to the partner. */
  readonly open: (product: Product) => Promise<Duplex>
  /** An HTTP/2 connection to the gateway, for `tunnel`. */
  readonly connectH2: (product: Product) => Promise<http2.ClientHttp2Session>
  /** Speaks TLS with the partner itself, inside of a tunnel. */
  readonly secureInside: (tunnel: Duplex) => Promise<Duplex>
}

/** The same for everybody: the peers' OpenSSL is older and has no post-quantum group to offer. */
const GROUPS = 'X25519'

export function createClient(pki: Pki): Client {
  const common = { ciphers: CIPHER, minVersion: 'TLSv1.3' } as const
  const context = tls.createSecureContext({ ...common, ...pki.client, ecdhCurve: GROUPS })
  const inner = tls.createSecureContext({ ...common, ca: pki.partnerCa, ecdhCurve: GROUPS })
  const connect = async ({ port }: Product, protocol: string): Promise<tls.TLSSocket> => {
    const socket = tls.connect({
      ...{ host: '127.0.0.1', port, servername: 'localhost' },
      ...{ secureContext: context, ecdhCurve: GROUPS, ALPNProtocols: [protocol] },
    })
    await secured(socket)
    socket.setNoDelay(true)
    return socket
  }
  return {
    async open(product) {
      const socket = await connect(product, 'http/1.1')
      if (product.target !== null) await askByH1(socket, product.target)
      return socket
    },
    async connectH2(product) {
      const socket = await connect(product, 'h2')
      const session = http2.connect('https://localhost', { createConnection: () => socket })
      session.on('error', () => {})
      return session
    },
    async secureInside(tunnel) {
      const socket = tls.connect({ socket: tunnel, servername: THROUGH, secureContext: inner })
      await secured(socket)
      return socket
    },
  }
}

async function secured(socket: tls.TLSSocket): Promise<void> {
  await new Promise<void>((resolve, reject) => {
    socket.once('secureConnect', resolve)
    socket.once('error', reject)
    socket.once('close', () => reject(new Error('closed in the handshake')))
  })
  // Who needs a session to go on notices that it does not.
  socket.on('error', () => {})
}

async function askByH1(socket: tls.TLSSocket, target: string): Promise<void> {
  socket.write(`CONNECT ${target} HTTP/1.1\r\nHost: ${target}\r\n\r\n`)
  const head = (await readUntil(socket, (text) => text.endsWith('\r\n\r\n'))).toString('latin1')
  if (!head.startsWith('HTTP/1.1 200 ')) throw new Error(`the gateway answered ${head}`)
}

/** A tunnel over HTTP/2. */
export async function tunnel(session: http2.ClientHttp2Session, target: string): Promise<Duplex> {
  const stream = session.request({ ':method': 'CONNECT', ':authority': target }, { endStream: false })
  await new Promise<void>((resolve, reject) => {
    stream.once('response', (headers) => {
      if (headers[':status'] === 200) resolve()
      else reject(new Error(`the gateway answered ${headers[':status']}`))
    })
    stream.once('error', reject)
    stream.once('close', () => reject(new Error('the stream was closed')))
  })
  stream.on('error', () => {})
  return stream
}

/** Bytes until `complete`, and not one more: whoever uses it knows what comes. Leaves the stream paused. */
async function readUntil(stream: Duplex, complete: (text: string) => boolean): Promise<Buffer> {
  const chunks: Buffer[] = []
  return new Promise((resolve, reject) => {
    const stopListening = () => {
      stream.off('data', onData)
      stream.off('close', onClose)
      stream.pause()
    }
    const onData = (chunk: Buffer) => {
      chunks.push(chunk)
      const all = Buffer.concat(chunks)
      if (!complete(all.toString('latin1'))) return
      stopListening()
      resolve(all)
    }
    const onClose = () => {
      stopListening()
      reject(new Error(`closed after ${JSON.stringify(Buffer.concat(chunks).toString('latin1'))}`))
    }
    stream.on('data', onData)
    stream.on('close', onClose)
    stream.resume()
  })
}

const HEAD_END = '\r\n\r\n'

/** One request on a session that stays open, and its answer's body. */
export async function ask(stream: Duplex, path: string, fields = ''): Promise<string> {
  stream.write(`GET ${path} HTTP/1.1\r\nHost: ${PARTNER}\r\n${fields}\r\n`)
  let end = -1
  const text = await readUntil(stream, (said) => {
    const head = said.indexOf(HEAD_END)
    if (head === -1) return false
    const [, length] = /^content-length: (\d+)\r$/im.exec(said.slice(0, head + 2)) ?? []
    if (!said.startsWith('HTTP/1.1 200 ') || length === undefined) throw new Error(`the partner said ${said}`)
    end = head + HEAD_END.length + Number(length)
    return said.length >= end
  })
  return text.toString('latin1').slice(text.indexOf(HEAD_END) + HEAD_END.length, end)
}
