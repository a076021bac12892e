// The API for programs (OpenAPI 3.1). The bodies are made from the schemas that requests are read with, so the description
// cannot drift from what is accepted.
import * as z from '../schema-library.ts'
import { explainBody } from './explain.ts'
import { jwtBody } from './jwt.ts'
import { X509_BODY } from './x509.ts'
import { VERSION } from '../../../common/version.ts'

const text = (format?: string) => ({ type: 'string', ...(format === undefined ? {} : { format }) })

function object(properties: Readonly<Record<string, object>>) {
  return { type: 'object', properties, required: Object.keys(properties) }
}

const X509_ANSWER = object({
  spiffeId: text('uri'),
  certificateChain: text(),
  bundle: text(),
  serialNumber: text(),
  expiresAt: text('date-time'),
  renewAfter: text('date-time'),
  registration: text(),
})
const JWT_ANSWER = object({ token: text(), spiffeId: text('uri'), expiresAt: text('date-time') })
const EXPLAIN_ANSWER = object({
  proof: { type: 'object' },
  registrations: { type: 'array', items: { type: 'object' } },
  result: { type: 'object' },
})
const PROBLEM = object({ type: text('uri'), title: text(), status: { type: 'integer' }, code: text() })

const problem = {
  description: 'A problem document (RFC 9457); `code` says which.',
  content: { 'application/problem+json': { schema: PROBLEM } },
}

function answer(description: string, type: string, schema: object) {
  return { description, content: { [type]: { schema } } }
}

/** A route that takes a proof: by bearer token, or in the body as `aws`. */
function proved(summary: string, body: z.Schema, status: string, schema: object) {
  return {
    post: {
      summary,
      security: [{ token: [] }, {}],
      requestBody: {
        required: true,
        content: { 'application/json': { schema: z.toJSONSchema(body, { io: 'input' }) } },
      },
      responses: { [status]: answer(summary, 'application/json', schema), default: problem },
    },
  }
}

function open(summary: string, type = 'application/json') {
  return { get: { summary, responses: { 200: answer(summary, type, {}), default: problem } } }
}

/** @param issuer the authority's own URL */
export function describeApi(issuer: string) {
  return {
    openapi: '3.1.0',
    info: { title: 'Sallyport authority', version: VERSION },
    servers: [{ url: issuer }],
    components: {
      securitySchemes: { token: { type: 'http', scheme: 'bearer', bearerFormat: 'JWT' } },
    },
    paths: {
      '/v1/svid/x509': proved('Issue an X.509-SVID', X509_BODY, '201', X509_ANSWER),
      '/v1/svid/jwt': proved('Issue a JWT-SVID', jwtBody(), '201', JWT_ANSWER),
      '/v1/explain': proved('Say what a proof would get', explainBody(), '200', EXPLAIN_ANSWER),
      '/v1/bundle': open('The trust bundle (SPIFFE, JWKS)'),
      '/v1/bundle.pem': open('The X.509 roots', 'application/pem-certificate-chain'),
      '/v1/jwks': open('The keys of JWT-SVIDs (RFC 7517)'),
      '/.well-known/openid-configuration': open('OpenID Connect discovery'),
      '/v1/openapi.json': open('This description'),
      '/healthz': open('Whether the authority can sign'),
    },
  }
}
