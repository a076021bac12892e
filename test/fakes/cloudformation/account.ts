// An AWS account on loopback into which our stacks are deployed from a synthesized assembly: the resources that do something
// (the CA's secret and its rotation, root keys, tables, functions, what waits for birth, AppConfig) are our fakes, and the
// functions run from their assets. All other resources are names. What a resource does when it is made, changed or deleted
// follows the CloudFormation template reference; IAM is not judged here (test/unit/infra reads the statements).
import { DeleteTableCommand } from '@aws-sdk/client-dynamodb'
import { randomUUID } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { mkdtemp, rm, writeFile } from 'node:fs/promises'
import os from 'node:os'
import path from 'node:path'
import { createRoot } from '../../fixtures/pki.ts'
import { startTlsFront } from '../../fixtures/on-lambda/tls-front.ts'
import { type RunningKms, startFakeKms } from '../aws/kms-server.ts'
import { type FakeSecretsManager, startFakeSecretsManager } from '../aws/secrets-manager.ts'
import { SecretsStore } from '../aws/secrets-store.ts'
import { type RunningDynamoDb, startDynamoDb } from '../dynamodb.ts'
import { type RunningLambda, startLambda } from '../lambda/runtime-api.ts'
import { type FakeSts, startFakeSts } from '../sts/sts.ts'
import {
  type Change,
  FakeStack,
  type Made,
  type StackTemplate,
  type TemplateResource,
  type World,
} from './stack.ts'

const PREFIX = 'arn:aws'
const PLACE = 'eu-west-1:111122223333'
const STEPS = ['createSecret', 'setSecret', 'testSecret', 'finishSecret']

interface Services {
  readonly secrets: FakeSecretsManager
  readonly kms: RunningKms
  readonly dynamo: RunningDynamoDb
  readonly sts: FakeSts
}

type Properties = Change['properties']

export class Account implements World {
  readonly services: Services
  /** What was started or waited for, in order. */
  readonly events: string[] = []
  /** By ARN without a version. */
  readonly functions = new Map<string, RunningLambda>()
  /** In AppConfig, by `application/environment/profile`. */
  readonly documents = new Map<string, string>()
  readonly #network: { readonly hosts: Readonly<Record<string, number>>; readonly roots: string }
  readonly #stacks = new Map<string, FakeStack>()
  readonly #exports = new Map<string, string>()
  readonly #appConfig = new Map<string, { readonly name: string; readonly validators: readonly string[] }>()
  readonly #versions = new Map<string, string>()
  #assembly = ''

  constructor(
    services: Services,
    network: { readonly hosts: Readonly<Record<string, number>>; readonly roots: string },
  ) {
    this.services = services
    this.#network = network
  }

  /** @param part such as `identity` */
  stack(name: string): FakeStack {
    const known = this.#stacks.get(name) ?? new FakeStack(this, this.#exports)
    this.#stacks.set(name, known)
    return known
  }

  /** Deploys stacks from the folder of an assembly. @returns their outputs */
  async deploy(assembly: string, names: readonly string[]): Promise<Readonly<Record<string, string>>> {
    this.#assembly = assembly
    const outputs = []
    for (const name of names) {
      const text = readFileSync(path.join(assembly, `${name}.template.json`), 'utf8')
      outputs.push(await this.stack(name).deploy(JSON.parse(text) as StackTemplate))
    }
    return Object.assign({}, ...outputs) as Record<string, string>
  }

  async apply(change: Change): Promise<Made> {
    const make = MAKERS[change.resource.Type]
    if (make !== undefined) return make.call(this, change)
    const id = change.before?.made.id ?? `${change.logicalId}-${randomUUID().slice(0, 8)}`
    return { id, attributes: { Arn: `${PREFIX}:other:${PLACE}:${id}` } }
  }

  async remove({ Type }: TemplateResource, { id }: Made): Promise<void> {
    const { secrets, dynamo } = this.services
    if (Type === 'AWS::SecretsManager::Secret') secrets.secrets.delete(id)
    if (Type === 'AWS::DynamoDB::Table') await dynamo.client.send(new DeleteTableCommand({ TableName: id }))
    if (Type === 'AWS::Lambda::Function') await this.#end(arnOf(id))
  }

  async invoke(arn: string, event: unknown) {
    const running = this.functions.get(arn.split(':').slice(0, 7).join(':'))
    if (running === undefined) throw new Error(`no function ${arn}`)
    return running.invoke(event)
  }

  /** As Secrets Manager does it, at once or on its day. */
  async rotate(secretArn: string, functionArn: string): Promise<void> {
    const token = this.services.secrets.secrets.get(secretArn)?.beginRotation() ?? ''
    for (const Step of STEPS) {
      const result = await this.invoke(functionArn, { Step, SecretId: secretArn, ClientRequestToken: token })
      if (!result.ok) return void this.events.push(`rotation failed: ${Step}: ${result.errorMessage}`)
    }
    this.events.push('rotated')
  }

  makeSecret({ properties, before, logicalId }: Change): Made {
    const { secrets } = this.services.secrets
    const value = String(properties.SecretString)
    if (before !== null) {
      if (value !== before.properties.SecretString) {
        secrets.get(before.made.id)?.put({ SecretString: value, ClientRequestToken: randomUUID() })
      }
      return before.made
    }
    const arn = `${PREFIX}:secretsmanager:${PLACE}:secret:${logicalId}-${randomUUID().slice(0, 6)}`
    secrets.set(arn, new SecretsStore(value))
    return { id: arn }
  }

  makeKey({ properties, before }: Change): Made {
    if (before !== null) return before.made
    const signs = properties.KeyUsage === 'SIGN_VERIFY'
    const arn = signs ? this.services.kms.kms.addKey() : `${PREFIX}:kms:${PLACE}:key/${randomUUID()}`
    return { id: arn.split('/')[1] ?? '', attributes: { Arn: arn } }
  }

  async makeTable({ before, logicalId }: Change): Promise<Made> {
    if (before !== null) return before.made
    const id = `${logicalId}-${randomUUID().slice(0, 8)}`
    await this.services.dynamo.createTable(id)
    return { id, attributes: { Arn: `${PREFIX}:dynamodb:${PLACE}:table/${id}` } }
  }

  async schedule({ properties, logicalId }: Change): Promise<Made> {
    const { SecretId, RotationLambdaARN, RotateImmediatelyOnUpdate } = properties
    if (RotateImmediatelyOnUpdate === true) await this.rotate(String(SecretId), String(RotationLambdaARN))
    return { id: logicalId }
  }

  /** CDK's own function behind it calls the handler and fails with it. */
  async trigger({ properties, logicalId }: Change): Promise<Made> {
    const last = this.events.at(-1) ?? ''
    // It would wait for nine minutes, and then say less.
    if (last.startsWith('rotation failed')) throw new Error(last)
    const result = await this.invoke(String(properties.HandlerArn), {})
    if (!result.ok) throw new Error(`${logicalId}: ${result.errorMessage}`)
    this.events.push('born')
    return { id: logicalId }
  }

  makeLayer({ properties }: Change): Made {
    const id = `${PREFIX}:lambda:${PLACE}:layer:${randomUUID()}`
    this.#versions.set(id, this.#assetOf(properties.Content))
    return { id }
  }

  async makeFunction({ properties, before, logicalId }: Change): Promise<Made> {
    const name = before?.made.id ?? `${logicalId}-${randomUUID().slice(0, 8)}`
    await this.#end(arnOf(name))
    const environment = (properties.Environment as { Variables?: Record<string, string> } | undefined)
      ?.Variables
    const running = await startLambda({
      ...this.#network,
      name,
      folder: this.#assetOf(properties.Code),
      handler: String(properties.Handler),
      timeout: Number(properties.Timeout ?? 3),
      environment: this.#mount(environment ?? {}, (properties.Layers ?? []) as readonly string[]),
    })
    this.functions.set(running.arn, running)
    return { id: name, attributes: { Arn: running.arn } }
  }

  configure({ properties, logicalId, before }: Change): Made {
    if (before !== null && JSON.stringify(before.properties) === JSON.stringify(properties))
      return before.made
    const id = before?.made.id ?? `${logicalId}-${randomUUID().slice(0, 6)}`
    const validators = ((properties.Validators ?? []) as { Content: string }[]).map(({ Content }) => Content)
    this.#appConfig.set(id, { name: String(properties.Name), validators })
    return { id }
  }

  makeVersion({ properties }: Change): Made {
    const id = String(this.#versions.size + 1)
    this.#versions.set(id, String(properties.Content))
    return { id }
  }

  /** StartDeployment: validators first, then the document is handed out. */
  async startDeployment({ properties, before, logicalId }: Change): Promise<Made> {
    const text = String(before === null ? properties.Create : (properties.Update ?? ''))
    if (text === '') return { id: logicalId }
    const { parameters } = JSON.parse(text) as { parameters: Record<string, string> }
    const part = (key: string) => this.#appConfig.get(parameters[key] ?? '')
    const content = this.#versions.get(parameters.ConfigurationVersion ?? '') ?? ''
    for (const validator of part('ConfigurationProfileId')?.validators ?? []) {
      const result = await this.invoke(validator, validatorEvent(parameters, content))
      if (!result.ok) throw new Error(`${logicalId}: ${result.errorMessage}`)
    }
    const names = ['ApplicationId', 'EnvironmentId', 'ConfigurationProfileId'].map((key) => part(key)?.name)
    this.documents.set(names.join('/'), content)
    this.events.push(`deployed ${names.join('/')} by ${parameters.DeploymentStrategyId}`)
    return { id: logicalId }
  }

  async end(): Promise<void> {
    for (const arn of [...this.functions.keys()]) await this.#end(arn)
  }

  async #end(arn: string): Promise<void> {
    await this.functions.get(arn)?.[Symbol.asyncDispose]()
    this.functions.delete(arn)
  }

  /** The folder of which the archive in the bucket is made. */
  #assetOf(archive: unknown): string {
    const { S3Key } = archive as { readonly S3Key: string }
    return path.join(this.#assembly, `asset.${path.basename(S3Key, '.zip')}`)
  }

  /** Layers are unpacked below /opt; here in the folder of the last of them. */
  #mount(environment: Readonly<Record<string, string>>, layers: readonly string[]) {
    const folder = this.#versions.get(layers.at(-1) ?? '') ?? '/opt'
    return Object.fromEntries(
      Object.entries(environment).map(([name, value]) => [name, value.replace(/^\/opt(?=\/)/, folder)]),
    )
  }
}

const MAKERS: Readonly<Record<string, (this: Account, change: Change) => Made | Promise<Made>>> = {
  'AWS::SecretsManager::Secret': Account.prototype.makeSecret,
  'AWS::SecretsManager::RotationSchedule': Account.prototype.schedule,
  'AWS::KMS::Key': Account.prototype.makeKey,
  'AWS::DynamoDB::Table': Account.prototype.makeTable,
  'AWS::Lambda::Function': Account.prototype.makeFunction,
  'AWS::Lambda::LayerVersion': Account.prototype.makeLayer,
  'AWS::Lambda::Version': ({ properties }) => ({
    id: `${arnOf(String(properties.FunctionName))}:${randomUUID().slice(0, 4)}`,
  }),
  'Custom::Trigger': Account.prototype.trigger,
  'AWS::ApiGatewayV2::Api': ({ before }) => {
    const id = before?.made.id ?? randomUUID().slice(0, 8)
    return { id, attributes: { ApiEndpoint: `https://${id}.execute-api.eu-west-1.amazonaws.com` } }
  },
  'AWS::ApiGateway::RestApi': ({ before }) => ({ id: before?.made.id ?? randomUUID().slice(0, 8) }),
  'AWS::EC2::VPCEndpoint': ({ before }) => ({ id: before?.made.id ?? `vpce-${randomUUID().slice(0, 8)}` }),
  'AWS::S3::Bucket': ({ before, logicalId }) => {
    const id = before?.made.id ?? `${logicalId.toLowerCase()}-${randomUUID().slice(0, 8)}`
    return { id, attributes: { Arn: `${PREFIX}:s3:::${id}` } }
  },
  'AWS::AppConfig::Application': Account.prototype.configure,
  'AWS::AppConfig::Environment': Account.prototype.configure,
  'AWS::AppConfig::ConfigurationProfile': Account.prototype.configure,
  'AWS::AppConfig::HostedConfigurationVersion': Account.prototype.makeVersion,
  'Custom::AppConfigDeployment': Account.prototype.startDeployment,
}

function arnOf(name: string): string {
  return `${PREFIX}:lambda:${PLACE}:function:${name}`
}

/** AppConfig user guide, "Understanding validators". */
export function validatorEvent(parameters: Properties, content: string): object {
  return {
    applicationId: parameters.ApplicationId,
    configurationProfileId: parameters.ConfigurationProfileId,
    configurationVersion: parameters.ConfigurationVersion,
    content: Buffer.from(content).toString('base64'),
    uri: 'hosted',
  }
}

export interface RunningAccount extends AsyncDisposable {
  readonly account: Account
  /** A file in PEM: who signed the certificates of AWS's host names here. */
  readonly roots: string
  /** Ports on loopback by `host:port`, of what is served by AWS's host names. */
  readonly hosts: Readonly<Record<string, number>>
  /** TLS before a fake that speaks plain HTTP, for one more of AWS's host names. @returns its port */
  front(endpoint: string): Promise<number>
}

/** Of services, of APIs and of buckets. */
const HOST_NAMES = ['', '.execute-api', '.s3'].map((part) => `*${part}.eu-west-1.amazonaws.com`)

/** With AWS's host names by TLS, so that functions run in the very environment that they are deployed with. */
export async function startAccount(): Promise<RunningAccount> {
  const stack = new AsyncDisposableStack()
  const services: Services = {
    secrets: stack.use(await startFakeSecretsManager()),
    kms: stack.use(await startFakeKms()),
    dynamo: stack.use(await startDynamoDb()),
    sts: stack.use(await startFakeSts()),
  }
  const directory = await mkdtemp(path.join(os.tmpdir(), 'sallyport-account-'))
  stack.defer(() => rm(directory, { recursive: true, force: true }))
  const root = await createRoot({ name: 'root of the account' })
  const roots = path.join(directory, 'roots.pem')
  await writeFile(roots, root.pem)
  const { chainPem: cert, keyPem: key } = await root.issue({ cn: 'aws', dns: HOST_NAMES })
  const endpoints = {
    secretsmanager: services.secrets.endpoint,
    kms: services.kms.endpoint,
    dynamodb: services.dynamo.endpoint,
    sts: services.sts.endpoint,
  }
  const front = async (endpoint: string) => {
    const { url } = stack.use(await startTlsFront(endpoint, { cert, key }))
    return Number(new URL(url).port)
  }
  const hosts: Record<string, number> = {}
  for (const [name, endpoint] of Object.entries(endpoints)) {
    hosts[`${name}.eu-west-1.amazonaws.com:443`] = await front(endpoint)
  }
  const account = new Account(services, { hosts, roots })
  stack.defer(() => account.end())
  return { account, roots, hosts, front, [Symbol.asyncDispose]: () => stack.disposeAsync() }
}
