// The fake STS is a judge only if it judges: what AWS's own signers make passes, and each changed element is refused.
import { GetCallerIdentityCommand, GetWebIdentityTokenCommand, STSClient } from '@aws-sdk/client-sts'
import { Hash } from '@smithy/hash-node'
import { SignatureV4 } from '@smithy/signature-v4'
import { decodeJwt } from 'jose'
import { createHash, createHmac } from 'node:crypto'
import http from 'node:http'
import { describe, expect, test } from 'vitest'
import { type FakeSts, type RoleCredentials, startFakeSts } from '../../fakes/sts/sts.ts'

const HOST = 'sts.eu-west-1.amazonaws.com'
const BODY = 'Action=GetCallerIdentity&Version=2011-06-15'

async function sign(role: RoleCredentials, applyChecksum: boolean, date = new Date()) {
  const signer = new SignatureV4({
    credentials: role,
    region: 'eu-west-1',
    service: 'sts',
    sha256: Hash.bind(null, 'sha256'),
    applyChecksum,
  })
  const headers = {
    host: HOST,
    'content-type': 'application/x-www-form-urlencoded; charset=utf-8',
    'x-sallyport-audience': 'https://identity.example.org',
  }
  const request = { method: 'POST', protocol: 'https:', hostname: HOST, path: '/', headers, body: BODY }
  return (await signer.sign(request, { signingDate: date })).headers
}

function send(
  sts: FakeSts,
  headers: Record<string, string>,
  body = BODY,
): Promise<{ status: number; text: string }> {
  return new Promise((resolve, reject) => {
    const request = http.request(sts.endpoint, { method: 'POST', headers, agent: false }, (response) => {
      let text = ''
      response.on('data', (part: Buffer) => {
        text += part.toString()
      })
      response.on('end', () => resolve({ status: response.statusCode ?? 0, text }))
    })
    request.on('error', reject)
    request.end(body)
  })
}

test.each([true, false])('takes what @smithy/signature-v4 signs, applyChecksum %s', async (applyChecksum) => {
  await using sts = await startFakeSts()
  const role = sts.addRole({ role: 'api' })
  const answer = await send(sts, await sign(role, applyChecksum))
  expect(answer).toMatchObject({ status: 200, text: expect.stringContaining(`<Arn>${role.arn}</Arn>`) })
  const json = await send(sts, { ...(await sign(role, applyChecksum)), accept: 'application/json' })
  expect(JSON.parse(json.text)).toMatchObject({
    GetCallerIdentityResponse: { GetCallerIdentityResult: { Arn: role.arn, Account: '111122223333' } },
  })
})

describe('refuses', () => {
  const changes: Record<string, (headers: Record<string, string>) => Record<string, string>> = {
    'another audience': (headers) => ({ ...headers, 'x-sallyport-audience': 'https://evil.example' }),
    'another region': (headers) => ({ ...headers, host: 'sts.us-east-1.amazonaws.com' }),
    'another host': (headers) => ({ ...headers, host: 'evil.example' }),
    'another date': (headers) => ({ ...headers, 'x-amz-date': '20261124T000000Z' }),
    'another token': (headers) => ({ ...headers, 'x-amz-security-token': 'other' }),
    'no token': ({ 'x-amz-security-token': _gone, ...headers }) => headers,
    'an unsigned header of AWS': (headers) => ({ ...headers, 'x-amz-target': 'x' }),
    'a signed header that is gone': ({ 'x-sallyport-audience': _gone, ...headers }) => headers,
    'no signature': ({ authorization: _gone, ...headers }) => headers,
  }
  test.each(Object.entries(changes))('%s', async (_name, change) => {
    await using sts = await startFakeSts()
    const headers = await sign(sts.addRole({ role: 'api' }), false)
    expect((await send(sts, change(headers))).status).toBe(403)
  })

  test('another body, an unknown key, a signature of 16 minutes ago', async () => {
    await using sts = await startFakeSts()
    await using other = await startFakeSts()
    const role = sts.addRole({ role: 'api' })
    const headers = await sign(role, false)
    expect((await send(sts, headers, BODY.replace('GetCallerIdentity', 'AssumeRole'))).status).toBe(403)
    expect((await send(other, headers)).text).toContain('InvalidClientTokenId')
    const old = await sign(role, false, new Date(Date.now() - 16 * 60_000))
    expect((await send(sts, old)).text).toContain('SignatureDoesNotMatch')
  })
})

const NOW = new Date('2026-11-24T12:00:00.000Z')
const MINUTE_MS = 60_000

/** Signed in full, so that nothing but what the case changes can be the reason. */
async function signWith(
  role: RoleCredentials,
  change: (headers: Record<string, string>) => Record<string, string>,
) {
  const signer = new SignatureV4({
    ...{ credentials: role, region: 'eu-west-1', service: 'sts', applyChecksum: false },
    sha256: Hash.bind(null, 'sha256'),
  })
  const headers = change({ host: HOST, 'content-type': 'application/x-www-form-urlencoded; charset=utf-8' })
  const request = { method: 'POST', protocol: 'https:', hostname: HOST, path: '/', headers, body: BODY }
  return (await signer.sign(request, { signingDate: NOW })).headers
}

test('refuses a content type that nobody signed, though the signature holds', async () => {
  await using sts = await startFakeSts({ clock: () => NOW })
  const role = sts.addRole({ role: 'api' })
  const headers = await signWith(role, ({ 'content-type': _gone, ...rest }) => rest)
  const type = 'application/x-www-form-urlencoded; charset=utf-8'
  expect(await send(sts, headers)).toMatchObject({ status: 200 })
  expect(await send(sts, { ...headers, 'content-type': type })).toMatchObject({
    status: 403,
    text: expect.stringContaining('SignatureDoesNotMatch'),
  })
})

/** Signature Version 4 over any text as date, which no client library would sign. */
function signDate(role: RoleCredentials, date: string): Record<string, string> {
  const sha256 = (text: string) => createHash('sha256').update(text).digest('hex')
  const hmac = (key: string | Buffer, text: string) => createHmac('sha256', key).update(text).digest()
  const headers = { host: HOST, 'x-amz-date': date, 'x-amz-security-token': role.sessionToken }
  const lines = Object.entries(headers).map(([name, value]) => `${name}:${value}\n`)
  const names = Object.keys(headers).join(';')
  const canonical = ['POST', '/', '', lines.join(''), names, sha256(BODY)].join('\n')
  const scope = ['20261124', 'eu-west-1', 'sts', 'aws4_request']
  const text = ['AWS4-HMAC-SHA256', date, scope.join('/'), sha256(canonical)].join('\n')
  const key = scope.reduce<Buffer | string>(hmac, `AWS4${role.secretAccessKey}`)
  const credential = `${role.accessKeyId}/${scope.join('/')}`
  const signature = hmac(key, text).toString('hex')
  return {
    ...headers,
    authorization: `AWS4-HMAC-SHA256 Credential=${credential}, SignedHeaders=${names}, Signature=${signature}`,
  }
}

test.each<[string, string]>([
  ['a day alone', '20261124'],
  ['a time that is none', '20261124T996060Z'],
  ['another form of the time', '20261124T12:00:00Z'],
])('refuses a date that cannot be read, though it was signed: %s', async (_name, date) => {
  await using sts = await startFakeSts({ clock: () => NOW })
  const role = sts.addRole({ role: 'api' })
  expect(await send(sts, signDate(role, '20261124T120000Z'))).toMatchObject({ status: 200 })
  expect((await send(sts, signDate(role, date))).text).toContain('IncompleteSignature')
})

test.each<[string, number, string]>([
  ['before the session ends', 1, '<Arn>'],
  ['from its end on', 0, 'ExpiredToken'],
  ['after it', -MINUTE_MS, 'ExpiredToken'],
])('answers %s', async (_name, left, expected) => {
  await using sts = await startFakeSts({ clock: () => NOW })
  const role = sts.addRole({ role: 'api', sessionEnds: new Date(NOW.getTime() + left) })
  const { text } = await send(sts, await signWith(role, (headers) => headers))
  expect(text).toContain(expected)
})

test("AWS's own client gets the identity and a token", async () => {
  await using sts = await startFakeSts()
  const role = sts.addRole({ role: 'api', path: '/team/', tags: { team: 'payments' } })
  const client = new STSClient({
    endpoint: sts.endpoint,
    region: 'eu-west-1',
    credentials: role,
    maxAttempts: 1,
  })
  expect(await client.send(new GetCallerIdentityCommand({}))).toMatchObject({ Arn: role.arn })
  const ask = () =>
    client.send(
      new GetWebIdentityTokenCommand({ Audience: ['https://a.example'], SigningAlgorithm: 'ES384' }),
    )
  const { WebIdentityToken: token = '' } = await ask()
  expect(decodeJwt(token)).toMatchObject({
    sub: 'arn:aws:iam::111122223333:role/team/api',
    aud: 'https://a.example',
    'https://sts.amazonaws.com/': { principal_tags: { team: 'payments' } },
  })
  sts.outboundFederation = false
  await expect(ask()).rejects.toThrow(
    expect.objectContaining({ name: expect.stringContaining('OutboundWebIdentity') }),
  )
  client.destroy()
})
