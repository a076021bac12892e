// The AWS client of the Lambda bundle: against servers that fail in all ways, and with the authority's stores against
// dynalite, as the SDK's client is tested with them.
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http'
import { randomBytes } from 'node:crypto'
import { once } from 'node:events'
import type { DynamoDBClient as SdkClient } from '@aws-sdk/client-dynamodb'
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest'
import { AwsServiceError } from '../../../lambdas/identity/aws-json/client.ts'
import { DynamoDBClient, PutItemCommand } from '../../../lambdas/identity/aws-json/dynamodb.ts'
import {
  GetSecretValueCommand,
  SecretsManagerClient,
} from '../../../lambdas/identity/aws-json/secrets-manager.ts'
import { createDynamoIssuanceStore } from '../../../lambdas/identity/issuances/dynamodb.ts'
import { createDynamoRateCounter } from '../../../lambdas/identity/limits/counter.ts'
import { createDynamoReplayStore } from '../../../lambdas/identity/replay/dynamodb.ts'
import { SecretsStore } from '../../fakes/aws/secrets-store.ts'
import { startFakeSecretsManager } from '../../fakes/aws/secrets-manager.ts'
import { type RunningDynamoDb, startDynamoDb } from '../../fakes/dynamodb.ts'

// As the bundle has it (scripts/bundles.ts): the stores' commands are the client's own.
vi.mock('@aws-sdk/client-dynamodb', async (original) => {
  const own = await import('../../../lambdas/identity/aws-json/dynamodb.ts')
  const { GetItemCommand, PutItemCommand, UpdateItemCommand } = own
  return { ...(await original<object>()), GetItemCommand, PutItemCommand, UpdateItemCommand }
})

const CONFIG = {
  region: 'eu-west-1',
  credentials: async () => ({ accessKeyId: 'AKIATEST', secretAccessKey: 'test', sessionToken: 'token' }),
  useFipsEndpoint: false,
  useDualstackEndpoint: false,
  maxAttempts: 2,
  requestHandler: { connectionTimeout: 1_000, requestTimeout: 2_000 },
}

interface Seen {
  readonly headers: IncomingMessage['headers']
  readonly body: string
  readonly port: number | undefined
}

type Respond = (response: ServerResponse, count: number) => void

/** A service that answers as it is told; it keeps what it was asked. */
async function startService(respond: Respond) {
  const seen: Seen[] = []
  const server = createServer((request, response) => {
    let body = ''
    request.on('data', (part: Buffer) => {
      body += part.toString()
    })
    request.on('end', () => {
      seen.push({ headers: request.headers, body, port: request.socket.remotePort })
      respond(response, seen.length)
    })
  })
  server.listen(0, '127.0.0.1')
  await once(server, 'listening')
  const bound = server.address()
  const endpoint = `http://127.0.0.1:${typeof bound === 'object' && bound !== null ? bound.port : 0}`
  const client = new DynamoDBClient({ ...CONFIG, endpoint })
  return {
    seen,
    client,
    endpoint,
    async [Symbol.asyncDispose]() {
      client.destroy()
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}

const put = (client: DynamoDBClient) =>
  client.send(new PutItemCommand({ TableName: 't', Item: { id: { S: 'a' } } }))
const json =
  (status: number, body: object): Respond =>
  (response) =>
    response.writeHead(status).end(JSON.stringify(body))

describe('the AWS client of the bundle', () => {
  test('sends the operation and its input, signed, and keeps its connection', async () => {
    await using service = await startService(json(200, { a: 1 }))
    expect(await put(service.client)).toEqual({ a: 1 })
    await put(service.client)
    const [first, second] = service.seen
    expect(first).toMatchObject({
      body: '{"TableName":"t","Item":{"id":{"S":"a"}}}',
      headers: {
        'x-amz-target': 'DynamoDB_20120810.PutItem',
        'content-type': 'application/x-amz-json-1.0',
        'x-amz-security-token': 'token',
        authorization: expect.stringMatching(
          /^AWS4-HMAC-SHA256 Credential=AKIATEST\/\d{8}\/eu-west-1\/dynamodb\/aws4_request, /,
        ),
      },
    })
    expect(second?.port).toBe(first?.port)
  })

  test.each<[string, object, string | undefined, string]>([
    [
      'in the body',
      { __type: 'com.amazonaws.dynamodb.v20120810#ConditionalCheckFailedException', message: 'no' },
      undefined,
      'ConditionalCheckFailedException',
    ],
    [
      'in the body, short',
      { __type: 'ResourceNotFoundException', Message: 'no' },
      undefined,
      'ResourceNotFoundException',
    ],
    [
      'in the header',
      { message: 'no' },
      'AccessDeniedException:http://internal.amazon.com/',
      'AccessDeniedException',
    ],
    ['nowhere', { message: 'no' }, undefined, 'UnknownError'],
  ])('an error is named by the code %s, and is not tried again', async (_name, body, header, name) => {
    await using service = await startService((response) => {
      if (header !== undefined) response.setHeader('x-amzn-errortype', header)
      response.writeHead(400).end(JSON.stringify(body))
    })
    const error: unknown = await put(service.client).catch((thrown: unknown) => thrown)
    expect(error).toBeInstanceOf(AwsServiceError)
    expect(error).toMatchObject({ name, message: 'no', status: 400 })
    expect(service.seen).toHaveLength(1)
  })

  test.each<[string, Respond]>([
    ['a 500', json(500, { __type: 'InternalServerError' })],
    ['a 503 that is no JSON', (response) => response.writeHead(503).end('<html>')],
    ['a throttled request', json(400, { __type: 'x#ProvisionedThroughputExceededException' })],
    ['a connection that ends', (response) => response.destroy()],
    [
      'half an answer',
      (response) => {
        response.writeHead(200, { 'content-length': '100' }).write('{')
        response.destroy()
      },
    ],
  ])('%s is tried once more, on a connection of its own', async (_name, fail) => {
    await using service = await startService((response, count) => {
      if (count === 2) fail(response, count)
      else json(200, { count })(response, count)
    })
    await put(service.client)
    expect(await put(service.client)).toEqual({ count: 3 })
    expect(service.seen[2]?.port).not.toBe(service.seen[0]?.port)
  })

  test('what fails twice has failed', async () => {
    await using service = await startService(json(500, { __type: 'InternalServerError', message: 'again' }))
    await expect(put(service.client)).rejects.toMatchObject({ name: 'InternalServerError', status: 500 })
    expect(service.seen).toHaveLength(2)
  })

  test('an answer that does not come is waited for twice, no longer', async () => {
    await using service = await startService(() => undefined)
    const requestHandler = { connectionTimeout: 1_000, requestTimeout: 50 }
    const client = new DynamoDBClient({ ...CONFIG, endpoint: service.endpoint, requestHandler })
    await expect(put(client)).rejects.toThrow('took over 50 ms')
    expect(service.seen).toHaveLength(2)
    client.destroy()
  })

  test('an answer without end is not read to the end', async () => {
    await using service = await startService((response) => {
      const part = ' '.repeat(64 * 1024)
      const more = () => {
        while (!response.destroyed && response.write(part)) continue
      }
      response.on('drain', more).on('error', () => undefined)
      more()
    })
    await expect(put(service.client)).rejects.toThrow('over 1 MiB')
  })

  test('reads a secret, and names the failure where there is none', async () => {
    await using fake = await startFakeSecretsManager()
    fake.secrets.set('issuing', new SecretsStore('the document'))
    const client = new SecretsManagerClient({ ...CONFIG, endpoint: fake.endpoint })
    const get = (SecretId: string) =>
      client.send(new GetSecretValueCommand({ SecretId, VersionStage: 'AWSCURRENT' }))
    expect(await get('issuing')).toMatchObject({ SecretString: 'the document' })
    await expect(get('other')).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
    client.destroy()
  })
})

describe('the stores with it', () => {
  let dynamo: RunningDynamoDb
  let own: DynamoDBClient
  let client: Pick<SdkClient, 'send'>
  beforeAll(async () => {
    dynamo = await startDynamoDb()
    await dynamo.createTable('table')
    own = new DynamoDBClient({ ...CONFIG, endpoint: dynamo.endpoint })
    client = own as unknown as Pick<SdkClient, 'send'>
  })
  afterAll(async () => {
    own.destroy()
    await dynamo[Symbol.asyncDispose]()
  })
  const clock = () => new Date()

  test('attack 47: of 50 uses of a token at once one wins, and the same key may come again', async () => {
    const store = createDynamoReplayStore({ client, table: 'table', clock, random: randomBytes })
    const keepUntil = new Date(Date.now() + 60_000)
    const use = (binding: string) => store.put({ id: 'token', binding, keepUntil })
    const all = await Promise.all(Array.from({ length: 50 }, (_, index) => use(`x509:${index}`)))
    const winner = all.indexOf('stored')
    expect(all.filter((result) => result === 'stored')).toHaveLength(1)
    expect(all.filter((result) => result === 'other-binding')).toHaveLength(49)
    expect(await use(`x509:${winner}`)).toBe('same-binding')
  })

  test('the counter lets exactly the limit through', async () => {
    const counter = createDynamoRateCounter({
      client,
      table: 'table',
      clock: () => new Date(1_795_521_600_000),
    })
    const taken = await Promise.all(Array.from({ length: 20 }, () => counter.take('name', 7)))
    expect(taken.filter((result) => result)).toHaveLength(7)
  })

  test('attack 52: a record is there once, and another of its id is a failure', async () => {
    const store = createDynamoIssuanceStore({ client, table: 'table' })
    const record = {
      ...{ kind: 'x509' as const, serialNumber: '0a', certificateSha256: 'b', requestId: 'r' },
      ...{ spiffeId: 'spiffe://example.org/ä', registration: 'a', issuedAt: 'i', expiresAt: 'e' },
      proof: { issuer: 'https://issuer.example', subject: 's', tokenId: 't' },
    }
    await store.put(record)
    // The client's own second try finds what its first one wrote.
    await store.put(record)
    await expect(store.put({ ...record, requestId: 'other' })).rejects.toMatchObject({
      name: 'ConditionalCheckFailedException',
    })
    const missing = createDynamoIssuanceStore({ client, table: 'other' })
    await expect(missing.put(record)).rejects.toMatchObject({ name: 'ResourceNotFoundException' })
  })
})
