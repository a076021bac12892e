// A Lambda function that calls a service through the gateway. The identity is fetched by the command line, which is in a
// layer (/opt/sallyport: `npm pack`, unpacked), with the function's role as proof, and again when half of its life is over.
// Registration: `invoices` in examples/authority/identity.yaml names the very function.
import { execFile } from 'node:child_process'
import { readFile } from 'node:fs/promises'
import http from 'node:http'
import https from 'node:https'
import { text } from 'node:stream/consumers'
import { promisify } from 'node:util'

const {
  AUTHORITY = 'https://identity.example.org',
  TRUST_DOMAIN = 'example.org',
  EGRESS_PROXY = 'https://gateway.sallyport.internal:8443',
  SALLYPORT = '/opt/sallyport/bin/sallyport.js',
  TARGET = 'api.bank.example:443',
} = process.env
const DIRECTORY = '/tmp/identity'

let renewAt = 0

/** A frozen instance renews nothing, so it is looked at before each use. */
async function renew() {
  if (Date.now() < renewAt) return
  const args = ['identity', 'fetch', '--authority', AUTHORITY, '--trust-domain', TRUST_DOMAIN, '--aws']
  const { stdout } = await promisify(execFile)(process.execPath, [
    SALLYPORT,
    ...args,
    '--out',
    DIRECTORY,
    '--json',
  ])
  renewAt = Date.parse(JSON.parse(stdout).renewAfter)
}

/** The socket of a tunnel: what goes through it is the plain protocol, since the gateway speaks TLS to the service. */
export async function openTunnel({ proxy, directory, target }) {
  const [cert, key, ca] = await Promise.all(
    ['certificate.pem', 'key.pem', 'bundle.pem'].map((name) => readFile(`${directory}/${name}`)),
  )
  const { hostname, port } = new URL(proxy)
  const options = {
    host: hostname,
    port,
    method: 'CONNECT',
    path: target,
    headers: { host: target },
    agent: false,
  }
  // Without it Node takes the name of the target, which is in the Host header, for that of the gateway.
  const servername = hostname
  return new Promise((resolve, reject) => {
    const request = https.request({
      ...options,
      servername,
      cert,
      key,
      ca,
      minVersion: 'TLSv1.3',
      timeout: 10_000,
    })
    request.on('connect', (response, socket) => {
      if (response.statusCode === 200) return resolve(socket)
      socket.destroy()
      const why = response.headers['proxy-status'] ?? ''
      return reject(new Error(`the gateway answered ${response.statusCode} ${why}`))
    })
    request.on('timeout', () => request.destroy(new Error('the gateway does not answer')))
    request.on('error', reject)
    request.end()
  })
}

export async function handler({ path = '/' } = {}) {
  await renew()
  const socket = await openTunnel({ proxy: EGRESS_PROXY, directory: DIRECTORY, target: TARGET })
  return ask(socket, TARGET, path)
}

/** One request through the tunnel. */
export function ask(socket, target, path) {
  return new Promise((resolve, reject) => {
    const headers = { host: target, connection: 'close' }
    const request = http.request({ createConnection: () => socket, path, headers }, async (response) => {
      try {
        resolve({ statusCode: response.statusCode, body: await text(response) })
      } catch (error) {
        reject(error)
      }
    })
    request.on('error', reject)
    request.end()
  })
}
