// The authority's API as a function from Request to Response. It is the same behind a socket and behind Lambda, and
// trusts nothing of either but the bytes of the request: a forged event gets what its proof gives, and no more.
import { Hono } from 'hono/tiny'
import type { IdentityEnv } from './app-env.ts'
import { messageOf } from './log.ts'
import type { IdentityAppOptions } from './options.ts'
import { ProblemError, problemResponse, toProblem } from './problem.ts'
import { createProver } from './prove.ts'
import { createBundlePemRoute, createBundleRoute } from './routes/bundle.ts'
import { createDiscoveryRoute, createJwksRoute } from './routes/discovery.ts'
import { createExplainRoute } from './routes/explain.ts'
import { createHealthRoute } from './routes/health.ts'
import { createJwtRoute } from './routes/jwt.ts'
import { createOpenApiRoute } from './routes/openapi.ts'
import { createX509Route } from './routes/x509.ts'

/** Routes that need no proof are listed as such; a new route stands in neither list until somebody decided. */
export const PUBLIC_ROUTES = [
  '/v1/bundle',
  '/v1/bundle.pem',
  '/v1/jwks',
  '/.well-known/openid-configuration',
  '/v1/openapi.json',
  '/healthz',
] as const
export const PROOF_ROUTES = ['/v1/svid/x509', '/v1/svid/jwt', '/v1/explain'] as const

function refuseMethod(allow: string): () => Response {
  return () => {
    const response = problemResponse(toProblem(new ProblemError('method-not-allowed')))
    response.headers.set('allow', allow)
    return response
  }
}

function notFound(): Response {
  return problemResponse(toProblem(new ProblemError('not-found')))
}

/** The API, without a listener. */
export function createIdentityApp(options: IdentityAppOptions): Hono<IdentityEnv> {
  const app = new Hono<IdentityEnv>()
  app.use('*', async function identify(context, next) {
    const requestId = Buffer.from(options.random(16)).toString('hex')
    context.set('requestId', requestId)
    // Hono's small router takes a path with a slash more for the path itself.
    if (context.req.path.endsWith('/')) context.res = notFound()
    else await next()
    context.res.headers.set('x-request-id', requestId)
    context.res.headers.set('x-content-type-options', 'nosniff')
  })
  const prover = createProver(options)
  app.post('/v1/svid/x509', createX509Route(options, prover))
  app.post('/v1/svid/jwt', createJwtRoute(options, prover))
  app.post('/v1/explain', createExplainRoute(options, prover))
  app.get('/v1/bundle', createBundleRoute(options))
  app.get('/v1/bundle.pem', createBundlePemRoute(options))
  app.get('/v1/jwks', createJwksRoute(options))
  app.get('/.well-known/openid-configuration', createDiscoveryRoute(options))
  app.get('/v1/openapi.json', createOpenApiRoute(options))
  app.get('/healthz', createHealthRoute(options))
  for (const route of PROOF_ROUTES) app.all(route, refuseMethod('POST'))
  for (const route of PUBLIC_ROUTES) app.all(route, refuseMethod('GET, HEAD'))
  app.notFound(notFound)
  app.onError((error, context) => {
    const problem = toProblem(error)
    if (problem.status >= 500 && !(error instanceof ProblemError)) {
      options.log({
        event: 'request.failed',
        level: 'error',
        requestId: context.get('requestId'),
        route: context.req.path,
        reason: messageOf(error),
      })
    }
    return problemResponse(problem)
  })
  return app
}
