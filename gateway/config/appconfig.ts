// A configuration profile of AWS AppConfig, asked by its data API: a session with tokens that are good once, an interval that
// the service sets, and patience that grows where it does not answer. The SDK is loaded when it is first asked.
// https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/API_appconfigdata_GetLatestConfiguration.html
import type { AppConfigDataClient, GetLatestConfigurationCommandOutput } from '@aws-sdk/client-appconfigdata'

/** What the API takes as the least, in seconds; a revocation is to be seen within it. */
const POLL_SECONDS = 15
/** Between attempts where it cannot be asked; each is twice the one before, up to the last. */
const PATIENCE_MS = { first: 5_000, last: 120_000 } as const
const CONNECTION_TIMEOUT_MS = 2_000
const REQUEST_TIMEOUT_MS = 10_000
const ATTEMPTS = 3

export interface AppConfigProfile {
  /** As it stands in `--config` or in gateway.yaml. */
  readonly name: string
  readonly application: string
  readonly environment: string
  readonly profile: string
}

/** `appconfig:<application>/<environment>/<profile>`, each a name or an id; null where it has another form. */
export function parseAppConfig(name: string): AppConfigProfile | null {
  // Quotas of AppConfig: names of 1 to 64, of profiles to 128 characters.
  const [, application, environment, profile] =
    /^appconfig:([^/\0]{1,64})\/([^/\0]{1,64})\/([^/\0]{1,128})$/.exec(name) ?? []
  if (application === undefined || environment === undefined || profile === undefined) return null
  return { name, application, environment, profile }
}

export interface AppConfigDocument {
  readonly content: Uint8Array
  /** Null where the profile has none. */
  readonly versionLabel: string | null
}

export interface Polled {
  /** Whether the service answered, this time. */
  readonly contact: boolean
  /** Null where it was not asked, did not answer, or has nothing new. */
  readonly document: AppConfigDocument | null
  /** Why it could not be asked; null where it could, or was not. */
  readonly problem: string | null
}

export interface AppConfigOptions {
  /** Default: the SDK's client with its default credentials, region and endpoint (`AWS_ENDPOINT_URL_APPCONFIGDATA`). */
  readonly client?: () => Promise<Pick<AppConfigDataClient, 'send'>>
  /** Milliseconds that only grow; default that of the process. */
  readonly monotonic?: () => number
  /** Of 0 to 1; default `Math.random`. */
  readonly random?: () => number
}

export class AppConfigPoller {
  readonly profile: AppConfigProfile
  readonly #monotonic: () => number
  readonly #random: () => number
  readonly #makeClient: () => Promise<Pick<AppConfigDataClient, 'send'>>
  #client: Promise<Pick<AppConfigDataClient, 'send'>> | null = null
  #token: string | null = null
  #nextAt = Number.NEGATIVE_INFINITY
  #failures = 0

  constructor(profile: AppConfigProfile, options: AppConfigOptions = {}) {
    const { client = defaultClient, monotonic = () => performance.now(), random = Math.random } = options
    this.profile = profile
    this.#makeClient = client
    this.#monotonic = monotonic
    this.#random = random
  }

  /** Asks where it is time to, or where `force` says so; then for the whole document, new or not. Never rejects. */
  async poll(force: boolean): Promise<Polled> {
    if (!force && this.#monotonic() < this.#nextAt) return { contact: false, document: null, problem: null }
    try {
      if (force) this.#token = null
      const answer = await this.#ask()
      this.#token = answer.NextPollConfigurationToken ?? null
      this.#failures = 0
      const seconds = Math.max(answer.NextPollIntervalInSeconds ?? POLL_SECONDS, 1)
      this.#nextAt = this.#monotonic() + seconds * 1000
      return { contact: true, document: documentOf(answer), problem: null }
    } catch (error) {
      this.#token = null
      this.#nextAt = this.#monotonic() + this.#patienceMs()
      const { name, message } = error instanceof Error ? error : new Error(String(error))
      const problem = `${this.profile.name}: ${name}: ${message}`
        .replaceAll(/[^\x20-\x7e]/g, '?')
        .slice(0, 500)
      return { contact: false, document: null, problem }
    }
  }

  /** A token that is spent or older than a day is refused as a bad request; a new session begins with the whole document. */
  async #ask(): Promise<GetLatestConfigurationCommandOutput> {
    if (this.#token !== null) {
      try {
        return await this.#latest(this.#token)
      } catch (error) {
        if (!(error instanceof Error) || error.name !== 'BadRequestException') throw error
      }
    }
    return this.#latest(await this.#begin())
  }

  async #begin(): Promise<string> {
    const { StartConfigurationSessionCommand } = await import('@aws-sdk/client-appconfigdata')
    const { application, environment, profile } = this.profile
    const client = await this.#connect()
    const { InitialConfigurationToken } = await client.send(
      new StartConfigurationSessionCommand({
        ApplicationIdentifier: application,
        EnvironmentIdentifier: environment,
        ConfigurationProfileIdentifier: profile,
        RequiredMinimumPollIntervalInSeconds: POLL_SECONDS,
      }),
    )
    if (InitialConfigurationToken === undefined) throw new Error('the answer has no token')
    return InitialConfigurationToken
  }

  async #latest(token: string): Promise<GetLatestConfigurationCommandOutput> {
    const { GetLatestConfigurationCommand } = await import('@aws-sdk/client-appconfigdata')
    const client = await this.#connect()
    return client.send(new GetLatestConfigurationCommand({ ConfigurationToken: token }))
  }

  #connect(): Promise<Pick<AppConfigDataClient, 'send'>> {
    this.#client ??= this.#makeClient()
    return this.#client
  }

  /** Jittered, so that tasks that lost it together do not come back together. */
  #patienceMs(): number {
    const ms = Math.min(PATIENCE_MS.first * 2 ** this.#failures, PATIENCE_MS.last)
    this.#failures += 1
    return ms * (0.5 + this.#random() / 2)
  }
}

function documentOf(answer: GetLatestConfigurationCommandOutput): AppConfigDocument | null {
  const { VersionLabel: label } = answer
  // Empty = nothing new. The SDK (3.1169) makes null of an empty body, which its types do not know.
  const content = answer.Configuration ?? null
  if (content === null || content.length === 0) return null
  return { content, versionLabel: label === undefined || label === '' ? null : label }
}

async function defaultClient(): Promise<AppConfigDataClient> {
  const { AppConfigDataClient } = await import('@aws-sdk/client-appconfigdata')
  return new AppConfigDataClient({
    maxAttempts: ATTEMPTS,
    requestHandler: {
      connectionTimeout: CONNECTION_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      // Without it the SDK writes a warning and goes on waiting.
      throwOnRequestTimeout: true,
    },
  })
}
