// The authority as a Lambda function behind an HTTP API (payload 2.0). Configuration is read at the first request, from
// the file that SALLYPORT_IDENTITY_CONFIG names, so that a cold start does no more than it must. Nothing of the event
// but the HTTP request itself is looked at: a direct invocation can forge all the rest.
import { readFile } from 'node:fs/promises'
import { Hono } from 'hono/tiny'
import { SallyportError } from '../../common/errors.ts'
import type { IdentityEnv } from './app-env.ts'
import { beginIdentityApp } from './build.ts'
import { createAwsParts } from './build-aws.ts'
import { type IdentityConfig, loadIdentityConfig } from './config.ts'
import { readIdentityEnvironment } from './environment.ts'
import { createLambdaHandler } from './lambda-adapter.ts'
import { createLambdaLog } from './lambda-log.ts'
import { messageOf } from './log.ts'
import { ProblemError, problemResponse, toProblem } from './problem.ts'

const { log } = createLambdaLog()

class HandlerError extends SallyportError<
  'configuration-not-named' | 'store-of-one-instance' | 'start-failed'
> {}

function logFailure(error: unknown): void {
  log({ event: 'start.failed', level: 'error', reason: messageOf(error) })
}

/**
 * On Lambda there are as many instances as there are requests at a time, and the disk of each goes with it: used proofs
 * in memory would be taken once by every instance, and a record in a file would be gone before anybody asks for it.
 */
function checkStores({ replay, issuances }: IdentityConfig, env: NodeJS.ProcessEnv): void {
  if ((env.AWS_LAMBDA_FUNCTION_NAME ?? '') === '') return
  const wrong = replay === 'memory' ? 'replay: memory' : 'file' in issuances ? 'issuances in a file' : null
  if (wrong === null) return
  throw new HandlerError('store-of-one-instance', `${wrong}: on Lambda both must be in DynamoDB`)
}

async function load(): Promise<Hono<IdentityEnv>> {
  const file = process.env.SALLYPORT_IDENTITY_CONFIG ?? ''
  if (file === '')
    throw new HandlerError('configuration-not-named', 'SALLYPORT_IDENTITY_CONFIG names no file')
  const environment = readIdentityEnvironment(process.env)
  const config = loadIdentityConfig({ file, text: await readFile(file, 'utf8'), environment })
  checkStores(config, process.env)
  const aws = async () => createAwsParts({ environment: process.env })
  return beginIdentityApp({ config, log, aws }, (error) => {
    logFailure(error)
    keepFailure(error)
  })
}

/** After a load that failed: every request asks, and each would read the issuing secret once more. */
const RETRY_MS = 5_000

let loaded: Promise<Hono<IdentityEnv>> | null = null
let failure: { readonly at: number; readonly reason: unknown } | null = null

/** An authority that could not be read is a load that failed, though its app was there before. */
function keepFailure(reason: unknown): void {
  failure = { at: Date.now(), reason }
}

/** One load for all requests of this instance; one that failed is tried again a little later. */
async function identityApp(): Promise<Hono<IdentityEnv>> {
  if (failure !== null) {
    const { at, reason } = failure
    if (Math.abs(Date.now() - at) < RETRY_MS) {
      throw new HandlerError('start-failed', messageOf(reason), { cause: reason })
    }
    loaded = failure = null
  }
  loaded ??= load()
  try {
    return await loaded
  } catch (error) {
    keepFailure(error)
    throw error
  }
}

const app = new Hono<IdentityEnv>()

app.all('*', async (context) => {
  try {
    return await (await identityApp()).fetch(context.req.raw, context.env)
  } catch (error) {
    logFailure(error)
    return problemResponse(toProblem(new ProblemError('authority-unavailable')))
  }
})

export const handler = createLambdaHandler(app)
