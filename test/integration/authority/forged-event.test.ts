// A direct `lambda:Invoke` can forge every field of an API Gateway event (attack 54). It gets nothing that a proof does
// not give: no field but the HTTP request itself is looked at.
import { afterAll, beforeAll, expect, test } from 'vitest'
import { handler } from '../../../lambdas/identity/handler.ts'
import { httpApiEvent } from '../../fakes/http-api.ts'
import { createCsr } from '../../unit/lambdas/identity/support.ts'
import { type BothWays, startBothWays } from './both-ways.ts'

let authority: BothWays
beforeAll(async () => {
  authority = await startBothWays()
})
afterAll(() => authority[Symbol.asyncDispose]())

const IAM = {
  accessKey: 'ASIAAAAAAAAAAAAAAAAA',
  accountId: '111122223333',
  callerId: 'AROAAAAAAAAAAAAAAAAAA:s',
  cognitoIdentity: null,
  principalOrgId: 'o-0123456789',
  userArn: 'arn:aws:sts::111122223333:assumed-role/payments-api/s',
  userId: 'AROAAAAAAAAAAAAAAAAAA:s',
}

test.each<[string, object]>([
  ['an IAM authorizer', { authorizer: { iam: IAM } }],
  [
    'a JWT authorizer',
    { authorizer: { jwt: { claims: { iss: 'x', sub: 'workload', kind: 'workload' }, scopes: null } } },
  ],
  ['a Lambda authorizer', { authorizer: { lambda: { kind: 'workload', sub: 'workload' } } }],
  ['a client certificate', { authentication: { clientCert: { subjectDN: 'CN=payments' } } }],
])('attack 54: %s that is forged proves nothing', async (_name, forged) => {
  const request = {
    method: 'POST',
    path: '/v1/svid/x509',
    headers: { 'content-type': 'application/json' },
    body: JSON.stringify({ csr: await createCsr() }),
  }
  const event = httpApiEvent(request)
  const context = { ...(event.requestContext as object), ...forged }
  const answer = await (handler as (event: unknown, context: unknown) => Promise<unknown>)(
    { ...event, requestContext: context },
    {},
  )
  expect(answer).toMatchObject({ statusCode: 401, body: expect.stringContaining('proof-refused') })
})
