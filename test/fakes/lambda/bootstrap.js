// What AWS's managed runtime does with a function's archive, in a process of its own: it loads the handler that `_HANDLER`
// names from LAMBDA_TASK_ROOT and asks the Runtime API for one event after another ("Using the Lambda runtime API").
// Its network is that of a sandbox: hosts that the test names lead to its fakes, and nothing else can be reached. Plain
// JavaScript: what is deployed must run without type stripping.
import http from 'node:http'
import net from 'node:net'
import path from 'node:path'

/** Ports on loopback by `host:port`. */
const hosts = JSON.parse(process.argv[2] ?? '{}')
const api = process.env.AWS_LAMBDA_RUNTIME_API ?? ''

const connect = net.Socket.prototype.connect
net.Socket.prototype.connect = function (...args) {
  // Node hands `connect` what it has normalized already: [options, callback].
  const [options, callback] = Array.isArray(args[0]) ? args[0] : args
  const wanted = `${options.host ?? 'localhost'}:${options.port}`
  const port = wanted === api ? options.port : hosts[wanted]
  if (port === undefined) {
    process.nextTick(() =>
      this.destroy(Object.assign(new Error(`no way to ${wanted}`), { code: 'ENOTFOUND' })),
    )
    return this
  }
  // A copy: the name that TLS verifies is in the original.
  return connect.call(this, { ...options, host: '127.0.0.1', port }, callback)
}

const agent = new http.Agent({ keepAlive: true })

/** Resolves with headers and text of the answer. */
function call(method, at, body = '', headers = {}) {
  const [hostname, port] = api.split(':')
  return new Promise((resolve, reject) => {
    const options = { hostname, port, method, path: `/2018-06-01/runtime${at}`, headers, agent }
    const request = http.request(options, (response) => {
      let text = ''
      response.setEncoding('utf8')
      response.on('data', (part) => (text += part))
      response.on('end', () => resolve({ headers: response.headers, text, status: response.statusCode }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

function told(error) {
  const { name = 'Error', message = String(error), stack = '' } = error ?? {}
  const body = JSON.stringify({ errorType: name, errorMessage: message, trace: stack.split('\n') })
  return [body, { 'content-type': 'application/json', 'lambda-runtime-function-error-type': name }]
}

async function load() {
  const [file, name] = (process.env._HANDLER ?? '').split('.')
  const loaded = await import(path.join(process.env.LAMBDA_TASK_ROOT ?? '', `${file}.js`))
  if (typeof loaded[name] !== 'function') throw new TypeError(`${process.env._HANDLER} is no function`)
  return loaded[name]
}

function contextOf(headers) {
  const deadline = Number(headers['lambda-runtime-deadline-ms'])
  return {
    awsRequestId: headers['lambda-runtime-aws-request-id'],
    invokedFunctionArn: headers['lambda-runtime-invoked-function-arn'],
    functionName: process.env.AWS_LAMBDA_FUNCTION_NAME,
    getRemainingTimeInMillis: () => deadline - Date.now(),
  }
}

let handler
try {
  handler = await load()
} catch (error) {
  await call('POST', '/init/error', ...told(error))
  process.exit(1)
}
for (;;) {
  const { headers, text } = await call('GET', '/invocation/next')
  const id = headers['lambda-runtime-aws-request-id']
  try {
    const result = await handler(JSON.parse(text), contextOf(headers))
    await call('POST', `/invocation/${id}/response`, JSON.stringify(result === undefined ? null : result))
  } catch (error) {
    await call('POST', `/invocation/${id}/error`, ...told(error))
  }
}
