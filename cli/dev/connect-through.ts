// A workload's side of the story: HTTP CONNECT over mTLS with Node's own client, nothing of the gateway's code.
import https from 'node:https'
import http from 'node:http'
import type { Duplex } from 'node:stream'
import type { WorkloadSvid } from './environment.ts'

export interface Through {
  readonly gateway: { readonly host: string; readonly port: number }
  readonly svid: Pick<WorkloadSvid, 'certificatePem' | 'keyPem' | 'bundlePem'>
  /** `host:port` */
  readonly target: string
}

export type ConnectAnswer =
  | { readonly status: 200; readonly socket: Duplex }
  | { readonly status: number; readonly proxyStatus: string | null; readonly body: string }

const TIMEOUT_MS = 15_000

/** Opens a tunnel; a refusal is an answer, not an error. */
export async function connectThrough(through: Through): Promise<ConnectAnswer> {
  const request = https.request({
    method: 'CONNECT',
    host: through.gateway.host,
    port: through.gateway.port,
    servername: 'localhost',
    path: through.target,
    headers: { Host: through.target },
    cert: through.svid.certificatePem,
    key: through.svid.keyPem,
    ca: through.svid.bundlePem,
    agent: false,
    timeout: TIMEOUT_MS,
  })
  return new Promise((resolve, reject) => {
    request.on('timeout', () => request.destroy(new Error(`no answer from the gateway in ${TIMEOUT_MS} ms`)))
    request.on('error', reject)
    request.on('connect', (response, socket, head) => {
      if (response.statusCode === 200) return resolve({ status: 200, socket })
      let body = head.toString()
      const proxyStatus = response.headers['proxy-status']
      socket.on('data', (chunk: Buffer) => {
        body += chunk.toString()
      })
      socket.on('error', reject)
      socket.on('end', () => {
        socket.end()
        resolve({ status: response.statusCode ?? 0, proxyStatus: proxyStatus?.toString() ?? null, body })
      })
    })
    request.end()
  })
}

/** One plain HTTP request inside a tunnel: the gateway speaks TLS to the partner, the workload does not. */
export async function getThrough(socket: Duplex, host: string): Promise<{ status: number; body: string }> {
  const request = http.request({
    createConnection: () => socket,
    host,
    headers: { Host: host, Connection: 'close' },
  })
  return new Promise((resolve, reject) => {
    request.on('error', reject)
    request.on('response', (response) => {
      let body = ''
      response.setEncoding('utf8')
      response.on('data', (chunk: string) => {
        body += chunk
      })
      response.on('error', reject)
      response.on('end', () => resolve({ status: response.statusCode ?? 0, body }))
    })
    request.end()
  })
}
