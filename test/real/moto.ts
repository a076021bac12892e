// moto, an emulator of AWS that nobody here wrote, as a second judge of what we send to AWS: with its signature check on,
// for a role that is made before. It runs in the Debian 13 tree that scripts/real-parts/trixie.sh makes.
import { AssumeRoleCommand, STSClient } from '@aws-sdk/client-sts'
import type { Credentials } from '../fakes/sts/sigv4.ts'
import { freePort, startProgram } from '../fixtures/process.ts'
import { needTree } from './tree.ts'

export const ACCOUNT = '111122223333'
export const REGION = 'eu-west-1'

export interface RoleCredentials extends Credentials {
  readonly sessionToken: string
}

export interface Moto extends AsyncDisposable {
  /** `http://127.0.0.1:port` */
  readonly endpoint: string
  /** Credentials of a session of a new role that may do anything. */
  assume(role: string): Promise<RoleCredentials>
  /** From here on every request is judged by its signature. */
  checkSignatures(): Promise<void>
}

/** IAM's query API, which the product has no client for. Unsigned: moto judges nothing yet. */
async function iam(endpoint: string, parameters: Readonly<Record<string, string>>): Promise<void> {
  const response = await fetch(endpoint, {
    method: 'POST',
    headers: {
      'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
      authorization: `AWS4-HMAC-SHA256 Credential=setup/20260101/us-east-1/iam/aws4_request, SignedHeaders=host, Signature=0`,
    },
    body: new URLSearchParams({ Version: '2010-05-08', ...parameters }).toString(),
  })
  if (!response.ok) throw new Error(`moto refused ${parameters.Action}: ${await response.text()}`)
}

const POLICY = (statement: object) => JSON.stringify({ Version: '2012-10-17', Statement: [statement] })

async function assumeRole(endpoint: string, role: string): Promise<RoleCredentials> {
  const trust = { Effect: 'Allow', Principal: { AWS: '*' }, Action: 'sts:AssumeRole' }
  await iam(endpoint, { Action: 'CreateRole', RoleName: role, AssumeRolePolicyDocument: POLICY(trust) })
  await iam(endpoint, {
    ...{ Action: 'PutRolePolicy', RoleName: role, PolicyName: 'all' },
    PolicyDocument: POLICY({ Effect: 'Allow', Action: '*', Resource: '*' }),
  })
  const client = new STSClient({
    endpoint,
    region: REGION,
    credentials: { accessKeyId: 'setup', secretAccessKey: 'setup' },
  })
  try {
    const arn = `arn:aws:iam::${ACCOUNT}:role/${role}`
    const { Credentials: made } = await client.send(
      new AssumeRoleCommand({ RoleArn: arn, RoleSessionName: 'session' }),
    )
    const { AccessKeyId = '', SecretAccessKey = '', SessionToken = '' } = made ?? {}
    return { accessKeyId: AccessKeyId, secretAccessKey: SecretAccessKey, sessionToken: SessionToken }
  } finally {
    client.destroy()
  }
}

export async function startMoto(): Promise<Moto> {
  const tree = await needTree()
  const port = await freePort()
  const endpoint = `http://127.0.0.1:${port}`
  const server = ['moto_server', '-H', '127.0.0.1', '-p', String(port)]
  const env = ['/usr/bin/env', '-i', 'PATH=/usr/bin:/bin', 'HOME=/tmp', `MOTO_ACCOUNT_ID=${ACCOUNT}`]
  const running = await startProgram('/usr/sbin/chroot', [tree, ...env, ...server], port)
  return {
    endpoint,
    assume: (role) => assumeRole(endpoint, role),
    async checkSignatures() {
      // The number of requests that are let through before the check begins; it wants this content type.
      const response = await fetch(`${endpoint}/moto-api/reset-auth`, {
        method: 'POST',
        headers: { 'content-type': 'application/octet-stream' },
        body: '0',
      })
      if (!response.ok) throw new Error(`moto: reset-auth answered ${response.status}`)
    },
    [Symbol.asyncDispose]: () => running[Symbol.asyncDispose](),
  }
}
