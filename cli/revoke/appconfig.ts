// A list of revocations as a hosted configuration of AWS AppConfig. Two things must never happen: that one operator's entry
// is lost because another wrote at the same time, which the number of the latest version prevents; and that an older list
// is deployed over a newer one, so that what is deployed is always the newest, looked for anew before and after.
import type { AppConfigProfile } from '../../gateway/config/appconfig.ts'
import { decodeText } from '../../gateway/config/files.ts'
import { type AppConfigIds, allPages, type ControlClient, resolveIds } from './appconfig-ids.ts'
import { RevokeError } from './errors.ts'
import type { Deployment, ReadList, RevocationListStore } from './store.ts'

export interface AppConfigStoreOptions {
  readonly profile: AppConfigProfile
  /** Name or id of a deployment strategy; null = the one that is named as the application. */
  readonly strategy: string | null
  /** How long to wait for a deployment, one of somebody else before it included. */
  readonly timeoutMs: number
  readonly client: () => Promise<ControlClient>
  /** Between two looks at a deployment. */
  readonly pollMs?: number
  readonly sleep?: (ms: number) => Promise<unknown>
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
}

const POLL_MS = 1_000
const CONTENT_TYPE = 'application/x-yaml'
/** Of a version's description. */
const MAX_DESCRIPTION = 1024
/** What a deployment does not leave again. */
const FINAL: ReadonlySet<string> = new Set(['COMPLETE', 'ROLLED_BACK', 'REVERTED'])

export function createAppConfigStore(options: AppConfigStoreOptions): RevocationListStore {
  const store = new AppConfigStore(options)
  return {
    source: options.profile.name,
    read: () => store.guarded(() => store.newest()),
    write: (text, over, why) => store.guarded(() => store.create(text, over, why)),
    isDeployed: ({ version }) => store.guarded(async () => (await store.deployedVersion()) === version),
    deploy: () => store.guarded(() => store.deploy()),
  }
}

class AppConfigStore {
  readonly #options: AppConfigStoreOptions
  readonly #sleep: (ms: number) => Promise<unknown>
  readonly #monotonic: () => number
  #connected: Promise<{ client: ControlClient; ids: AppConfigIds }> | null = null

  constructor(options: AppConfigStoreOptions) {
    this.#options = options
    this.#sleep = options.sleep ?? ((ms) => new Promise((resolve) => setTimeout(resolve, ms)))
    this.#monotonic = options.monotonic ?? (() => performance.now())
  }

  /** What AWS refuses, in words. */
  async guarded<T>(work: () => Promise<T>): Promise<T> {
    try {
      return await work()
    } catch (error) {
      if (error instanceof RevokeError) throw error
      const { name, message } = error instanceof Error ? error : new Error(String(error))
      const text = `${this.#options.profile.name}: ${name}: ${message}`
        .replaceAll(/[^\x20-\x7e]/g, '?')
        .slice(0, 500)
      throw new RevokeError('appconfig-refused', text, { cause: error })
    }
  }

  async newest(): Promise<ReadList> {
    const { client, ids } = await this.#connect()
    const { GetHostedConfigurationVersionCommand } = await import('@aws-sdk/client-appconfig')
    const version = await this.#newestNumber()
    const { Content } = await client.send(
      new GetHostedConfigurationVersionCommand({ ...profileOf(ids), VersionNumber: version }),
    )
    const text = decodeText(Content ?? new Uint8Array())
    if (text === null) throw new RevokeError('list-unreadable', `version ${version} is not text in UTF-8`)
    return { text, version }
  }

  async create(text: string, over: ReadList, why: string): Promise<ReadList> {
    const { client, ids } = await this.#connect()
    const { CreateHostedConfigurationVersionCommand } = await import('@aws-sdk/client-appconfig')
    try {
      const { VersionNumber } = await client.send(
        new CreateHostedConfigurationVersionCommand({
          ...profileOf(ids),
          Content: Buffer.from(text),
          ContentType: CONTENT_TYPE,
          Description: why.slice(0, MAX_DESCRIPTION),
          LatestVersionNumber: over.version ?? 0,
        }),
      )
      if (VersionNumber === undefined) throw new Error('the answer has no version number')
      return { text, version: VersionNumber }
    } catch (error) {
      if (!isConflict(error)) throw error
      const message = `${this.#options.profile.name} was changed by somebody else meanwhile`
      throw new RevokeError('list-changed', message, { cause: error })
    }
  }

  /** The version that gateways are given; null where none was ever deployed. */
  async deployedVersion(): Promise<number | null> {
    const { client, ids } = await this.#connect()
    const { GetDeploymentCommand, ListDeploymentsCommand } = await import('@aws-sdk/client-appconfig')
    const { ApplicationId, EnvironmentId } = ids
    const environment = { ApplicationId, EnvironmentId }
    const deployments = await allPages((NextToken) =>
      client.send(new ListDeploymentsCommand({ ...environment, NextToken })),
    )
    const complete = deployments
      .filter(({ State }) => State === 'COMPLETE')
      .toSorted((a, b) => (b.DeploymentNumber ?? 0) - (a.DeploymentNumber ?? 0))
    for (const { DeploymentNumber } of complete) {
      // The list has the profile's name, which is not unique.
      const { ConfigurationProfileId, ConfigurationVersion } = await client.send(
        new GetDeploymentCommand({ ...environment, DeploymentNumber }),
      )
      if (ConfigurationProfileId === ids.ConfigurationProfileId) return Number(ConfigurationVersion)
    }
    return null
  }

  async deploy(): Promise<Deployment> {
    const until = this.#monotonic() + this.#options.timeoutMs
    for (;;) {
      const deployment = await this.#follow(await this.#start(until), until)
      // Another operator may have written and deployed a newer list just before this deployment of an older one began.
      if ((await this.#newestNumber()) === deployment.version) return deployment
    }
  }

  async #follow({ number, version }: Omit<Deployment, 'state'>, until: number): Promise<Deployment> {
    const { client, ids } = await this.#connect()
    const { GetDeploymentCommand } = await import('@aws-sdk/client-appconfig')
    const { ApplicationId, EnvironmentId } = ids
    for (;;) {
      const { State = 'unknown' } = await client.send(
        new GetDeploymentCommand({ ApplicationId, EnvironmentId, DeploymentNumber: number }),
      )
      if (State === 'COMPLETE') return { number, version, state: State }
      const what = `version ${version} is written, and its deployment ${number} is ${State}`
      if (FINAL.has(State)) throw new RevokeError('not-deployed', what)
      await this.#wait(until, what)
    }
  }

  /** Of the newest version. One deployment at a time in an environment: where one is running, its end is waited for. */
  async #start(until: number): Promise<Omit<Deployment, 'state'>> {
    const { client, ids } = await this.#connect()
    const { StartDeploymentCommand } = await import('@aws-sdk/client-appconfig')
    for (;;) {
      const version = await this.#newestNumber()
      try {
        const { DeploymentNumber } = await client.send(
          new StartDeploymentCommand({ ...ids, ConfigurationVersion: String(version) }),
        )
        if (DeploymentNumber === undefined) throw new Error('the answer has no deployment number')
        return { number: DeploymentNumber, version }
      } catch (error) {
        if (!isConflict(error)) throw error
        const what = `version ${version} is written and not deployed, since another deployment is running`
        await this.#wait(until, what)
      }
    }
  }

  async #wait(until: number, what: string): Promise<void> {
    if (this.#monotonic() >= until) {
      const hint = 'the same command again goes on from here'
      throw new RevokeError('not-deployed', `${what} after ${this.#options.timeoutMs / 1000} s`, { hint })
    }
    await this.#sleep(this.#options.pollMs ?? POLL_MS)
  }

  async #newestNumber(): Promise<number> {
    const { client, ids } = await this.#connect()
    const { ListHostedConfigurationVersionsCommand } = await import('@aws-sdk/client-appconfig')
    const versions = await allPages((NextToken) =>
      client.send(new ListHostedConfigurationVersionsCommand({ ...profileOf(ids), NextToken })),
    )
    const numbers = versions.map(({ VersionNumber = 0 }) => VersionNumber)
    if (numbers.length === 0) {
      const message = `${this.#options.profile.name} has no version: deploy the list without an entry, [], first`
      throw new RevokeError('list-unreadable', message)
    }
    return Math.max(...numbers)
  }

  #connect(): Promise<{ client: ControlClient; ids: AppConfigIds }> {
    this.#connected ??= (async () => {
      const { profile, strategy, client: make } = this.#options
      const client = await make()
      return { client, ids: await resolveIds(client, profile, strategy) }
    })()
    return this.#connected
  }
}

function profileOf({ ApplicationId, ConfigurationProfileId }: AppConfigIds) {
  return { ApplicationId, ConfigurationProfileId }
}

function isConflict(error: unknown): boolean {
  return error instanceof Error && error.name === 'ConflictException'
}
