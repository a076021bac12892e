// A way to an HTTP service on loopback on which answers get lost: the request arrives, is acted upon, and the connection
// dies before the client hears of it.
import { once } from 'node:events'
import http from 'node:http'

export interface LosingProxy extends AsyncDisposable {
  readonly endpoint: string
  /** Requests that reached the service. */
  readonly forwarded: number
}

/** @param lose the answer to this request (1 is the first) is lost */
export async function startLosingProxy(
  target: string,
  lose: (count: number) => boolean,
): Promise<LosingProxy> {
  let forwarded = 0
  const server = http.createServer((request, response) => {
    forwarded += 1
    const lost = lose(forwarded)
    const { method, url = '/', headers } = request
    const onward = http.request(
      new URL(url, target),
      { method: method ?? 'POST', headers, agent: false },
      (answer) => {
        // Read to its end in any case, so that the service has done its work.
        const parts: Buffer[] = []
        answer.on('data', (part: Buffer) => parts.push(part))
        answer.on('end', () => {
          if (lost) request.socket.destroy()
          else response.writeHead(answer.statusCode ?? 502, answer.headers).end(Buffer.concat(parts))
        })
      },
    )
    onward.on('error', () => request.socket.destroy())
    request.pipe(onward)
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  if (typeof bound !== 'object' || bound === null) throw new Error('the proxy does not listen')
  return {
    endpoint: `http://127.0.0.1:${bound.port}`,
    get forwarded() {
      return forwarded
    },
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
