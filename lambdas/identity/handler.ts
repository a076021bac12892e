// The authority as a Lambda function behind an HTTP API (payload 2.0). Configuration is read at the first request, from
// the file that SALLYPORT_IDENTITY_CONFIG names, so that a cold start does no more than it must. Nothing of the event
// but the HTTP request itself is looked at: a direct invocation can forge all the rest.
import { readFile } from 'node:fs/promises'
import { Hono } from 'hono/tiny'
import { handle } from 'hono/aws-lambda'
import type { IdentityEnv } from './app-env.ts'
import { beginIdentityApp } from './build.ts'
import { createAwsParts } from './build-aws.ts'
import { loadIdentityConfig } from './config.ts'
import { readIdentityEnvironment } from './environment.ts'
import { createLambdaLog } from './lambda-log.ts'
import { messageOf } from './log.ts'
import { ProblemError, problemResponse, toProblem } from './problem.ts'

const { log } = createLambdaLog()

function logFailure(error: unknown): void {
  log({ event: 'start.failed', level: 'error', reason: messageOf(error) })
}

async function load(): Promise<Hono<IdentityEnv>> {
  const file = process.env.SALLYPORT_IDENTITY_CONFIG ?? ''
  if (file === '') throw new Error('SALLYPORT_IDENTITY_CONFIG names no file')
  const environment = readIdentityEnvironment(process.env)
  const config = loadIdentityConfig({ file, text: await readFile(file, 'utf8'), environment })
  const aws = async () => createAwsParts({ environment: process.env })
  return beginIdentityApp({ config, log, aws }, logFailure)
}

let loaded: Promise<Hono<IdentityEnv>> | null = null

/** One load for all requests of this instance; a load that failed is tried again by the next request. */
function identityApp(): Promise<Hono<IdentityEnv>> {
  loaded ??= load().catch((error: unknown) => {
    loaded = null
    throw error
  })
  return loaded
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

/** All answers are text: without this the adapter would send PEM as base64. */
export const handler = handle(app, { isContentTypeBinary: () => false })
