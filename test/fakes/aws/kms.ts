// KMS behind the client's `send`, with real P-384 keys: GetPublicKey and Sign as the API reference has them.
import type { KMSClient } from '@aws-sdk/client-kms'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

interface Input {
  readonly KeyId: string
  readonly Message?: Uint8Array
  readonly MessageType?: string
  readonly SigningAlgorithm?: string
}

export interface FakeKms {
  readonly client: Pick<KMSClient, 'send'>
  addKey(curve?: string): string
  readonly signatures: () => number
}

export function createFakeKms(): FakeKms {
  const keys = new Map<string, { publicKey: KeyObject; privateKey: KeyObject }>()
  let signatures = 0
  const send = async (command: {
    readonly input: Input
    readonly constructor: { readonly name: string }
  }) => {
    const key = keys.get(command.input.KeyId)
    if (key === undefined) throw Object.assign(new Error('Key does not exist'), { name: 'NotFoundException' })
    if (command.constructor.name === 'GetPublicKeyCommand') {
      const PublicKey = new Uint8Array(key.publicKey.export({ type: 'spki', format: 'der' }))
      return { PublicKey, KeyUsage: 'SIGN_VERIFY' }
    }
    const { Message = new Uint8Array(), MessageType, SigningAlgorithm } = command.input
    if (MessageType !== 'RAW' || SigningAlgorithm !== 'ECDSA_SHA_384' || Message.length > 4096) {
      throw Object.assign(new Error('1 validation error detected'), {
        name: 'ValidationException',
      })
    }
    signatures += 1
    return { Signature: new Uint8Array(sign('sha384', Message, { key: key.privateKey, dsaEncoding: 'der' })) }
  }
  return {
    client: { send } as Pick<KMSClient, 'send'>,
    addKey(curve = 'P-384') {
      const arn = `arn:aws:kms:eu-west-1:111122223333:key/${crypto.randomUUID()}`
      keys.set(arn, generateKeyPairSync('ec', { namedCurve: curve }))
      return arn
    },
    signatures: () => signatures,
  }
}
