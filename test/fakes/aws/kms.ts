// KMS behind the client's `send`, with real P-384 keys: GetPublicKey and Sign as the API reference has them, and key
// states as in "Key states of AWS KMS keys".
import type { KMSClient } from '@aws-sdk/client-kms'
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto'

interface Input {
  readonly KeyId: string
  readonly Message?: Uint8Array
  readonly MessageType?: string
  readonly SigningAlgorithm?: string
}

export type KeyState = 'Enabled' | 'Disabled' | 'PendingDeletion'

interface Key {
  readonly publicKey: KeyObject
  readonly privateKey: KeyObject
  state: KeyState
  wrong: boolean
}

export interface FakeKms {
  readonly client: Pick<KMSClient, 'send'>
  addKey(curve?: string): string
  setState(arn: string, state: KeyState): void
  /** From now on what the key signs is another message. */
  signWrongly(arn: string): void
  readonly signatures: () => number
}

function fail(name: string, message: string): never {
  throw Object.assign(new Error(message), { name })
}

function checkState(arn: string, { state }: Key): void {
  if (state === 'Disabled') fail('DisabledException', `${arn} is disabled.`)
  if (state === 'PendingDeletion') fail('KMSInvalidStateException', `${arn} is pending deletion.`)
}

export function createFakeKms(): FakeKms {
  const keys = new Map<string, Key>()
  let signatures = 0
  const find = (arn: string): Key => keys.get(arn) ?? fail('NotFoundException', 'Key does not exist')
  const send = async (command: {
    readonly input: Input
    readonly constructor: { readonly name: string }
  }) => {
    const key = find(command.input.KeyId)
    checkState(command.input.KeyId, key)
    if (command.constructor.name === 'GetPublicKeyCommand') {
      const PublicKey = new Uint8Array(key.publicKey.export({ type: 'spki', format: 'der' }))
      return { PublicKey, KeyUsage: 'SIGN_VERIFY' }
    }
    const { Message = new Uint8Array(), MessageType, SigningAlgorithm } = command.input
    if (MessageType !== 'RAW' || SigningAlgorithm !== 'ECDSA_SHA_384' || Message.length > 4096) {
      fail('ValidationException', '1 validation error detected')
    }
    signatures += 1
    const message = key.wrong ? Buffer.concat([Message, Buffer.from('!')]) : Message
    return { Signature: new Uint8Array(sign('sha384', message, { key: key.privateKey, dsaEncoding: 'der' })) }
  }
  return {
    client: { send } as Pick<KMSClient, 'send'>,
    addKey(curve = 'P-384') {
      const arn = `arn:aws:kms:eu-west-1:111122223333:key/${crypto.randomUUID()}`
      const pair = generateKeyPairSync('ec', { namedCurve: curve })
      keys.set(arn, { ...pair, state: 'Enabled', wrong: false })
      return arn
    },
    setState(arn, state) {
      find(arn).state = state
    },
    signWrongly(arn) {
      find(arn).wrong = true
    },
    signatures: () => signatures,
  }
}
