// Where the AWS clients take credentials, region and endpoints from: on Lambda the environment alone, elsewhere all that
// the SDK looks at. Nothing is sent in these tests.
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest'
import { createDynamoClient, createSecretsClient } from '../../../../lambdas/identity/aws-clients.ts'

const MAKERS = [
  ['DynamoDB', createDynamoClient],
  ['Secrets Manager', createSecretsClient],
] as const
const LAMBDA = {
  AWS_ACCESS_KEY_ID: 'ASIAOFTHEFUNCTION',
  AWS_SECRET_ACCESS_KEY: 'secret',
  AWS_SESSION_TOKEN: 'session',
  AWS_REGION: 'eu-west-1',
}

let directory = ''
beforeAll(async () => {
  directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-aws-'))
  await writeFile(
    path.join(directory, 'credentials'),
    '[default]\naws_access_key_id = AKIAOFTHEFILE\naws_secret_access_key = x\n',
  )
  await writeFile(
    path.join(directory, 'config'),
    '[default]\nregion = ap-south-1\nuse_fips_endpoint = true\n',
  )
})
afterAll(() => rm(directory, { recursive: true, force: true }))
afterEach(() => {
  vi.unstubAllEnvs()
})

/** A machine whose only credentials are in files. */
function stubFiles(): void {
  for (const name of Object.keys(LAMBDA)) vi.stubEnv(name, undefined)
  vi.stubEnv('AWS_SHARED_CREDENTIALS_FILE', path.join(directory, 'credentials'))
  vi.stubEnv('AWS_CONFIG_FILE', path.join(directory, 'config'))
}

describe.each(MAKERS)('%s on Lambda', (_name, create) => {
  it('takes the credentials of the environment, and region and endpoint from there too', async () => {
    stubFiles()
    const { config } = create({ environment: LAMBDA })
    expect(await config.credentials()).toMatchObject({
      accessKeyId: 'ASIAOFTHEFUNCTION',
      secretAccessKey: 'secret',
      sessionToken: 'session',
    })
    expect(await config.region()).toBe('eu-west-1')
    expect(await config.useFipsEndpoint()).toBe(false)
    expect(config.endpoint).toBeUndefined()
  })

  it.each(['AWS_ACCESS_KEY_ID', 'AWS_SECRET_ACCESS_KEY'])(
    'looks nowhere else where %s is missing',
    async (name) => {
      stubFiles()
      const { config } = create({ environment: { ...LAMBDA, [name]: '' } })
      await expect(config.credentials()).rejects.toThrow('are not set')
    },
  )

  it('takes what else the environment says of endpoints', async () => {
    const { config } = create({
      environment: {
        ...LAMBDA,
        AWS_USE_FIPS_ENDPOINT: 'true',
        AWS_USE_DUALSTACK_ENDPOINT: 'true',
        AWS_ENDPOINT_URL: 'https://vpce.example',
      },
    })
    expect(await config.useFipsEndpoint()).toBe(true)
    expect(await config.useDualstackEndpoint()).toBe(true)
    expect(await config.endpoint?.()).toMatchObject({ hostname: 'vpce.example' })
  })
})

it('each service has its own endpoint before the common one', async () => {
  const environment = {
    ...LAMBDA,
    AWS_ENDPOINT_URL: 'https://all.example',
    AWS_ENDPOINT_URL_DYNAMODB: 'https://dynamodb.example',
    AWS_ENDPOINT_URL_SECRETS_MANAGER: 'https://secrets.example',
  }
  expect(await createDynamoClient({ environment }).config.endpoint?.()).toMatchObject({
    hostname: 'dynamodb.example',
  })
  expect(await createSecretsClient({ environment }).config.endpoint?.()).toMatchObject({
    hostname: 'secrets.example',
  })
})

describe.each(MAKERS)('%s elsewhere', (_name, create) => {
  it('takes credentials and region as the SDK finds them, such as in files', async () => {
    stubFiles()
    const { config } = create({ environment: null })
    expect(await config.credentials()).toMatchObject({ accessKeyId: 'AKIAOFTHEFILE' })
    expect(await config.region()).toBe('ap-south-1')
  })
})
