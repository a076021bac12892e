// KMS on loopback in its own protocol (AWS JSON 1.1), for clients in other processes: the keys are those of kms.ts.
import { GetPublicKeyCommand, SignCommand, type SigningAlgorithmSpec } from '@aws-sdk/client-kms'
import { createServer } from 'node:http'
import { createFakeKms, type FakeKms } from './kms.ts'

export interface RunningKms extends AsyncDisposable {
  readonly endpoint: string
  readonly kms: FakeKms
}

interface Input {
  readonly KeyId: string
  readonly Message?: string
  readonly MessageType?: 'RAW' | 'DIGEST'
  readonly SigningAlgorithm?: SigningAlgorithmSpec
}

async function act(kms: FakeKms, target: string, { Message, ...input }: Input): Promise<object> {
  if (target === 'TrentService.GetPublicKey') {
    const { PublicKey, ...rest } = await kms.client.send(new GetPublicKeyCommand({ KeyId: input.KeyId }))
    return { ...rest, KeyId: input.KeyId, PublicKey: Buffer.from(PublicKey ?? []).toString('base64') }
  }
  if (target !== 'TrentService.Sign')
    throw Object.assign(new Error(target), { name: 'UnknownOperationException' })
  const command = new SignCommand({
    ...input,
    SigningAlgorithm: input.SigningAlgorithm,
    Message: Buffer.from(Message ?? '', 'base64'),
  })
  const { Signature } = await kms.client.send(command)
  return { KeyId: input.KeyId, Signature: Buffer.from(Signature ?? []).toString('base64') }
}

export async function startFakeKms(): Promise<RunningKms> {
  const kms = createFakeKms()
  const server = createServer((request, response) => {
    let text = ''
    request.on('data', (part: Buffer) => (text += part.toString()))
    request.on('end', () => {
      const reply = (status: number, body: object) =>
        response.writeHead(status, { 'content-type': 'application/x-amz-json-1.1' }).end(JSON.stringify(body))
      act(kms, String(request.headers['x-amz-target']), JSON.parse(text) as Input).then(
        (body) => reply(200, body),
        (error: Error) => reply(400, { __type: error.name, message: error.message }),
      )
    })
  })
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  const bound = server.address()
  const port = typeof bound === 'object' && bound !== null ? bound.port : 0
  return {
    endpoint: `http://127.0.0.1:${port}`,
    kms,
    async [Symbol.asyncDispose]() {
      server.closeAllConnections()
      await new Promise((resolve) => server.close(resolve))
    },
  }
}
