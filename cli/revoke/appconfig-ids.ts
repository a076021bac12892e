// The ids behind the names of an application, environment, profile and strategy of AWS AppConfig: its control API takes ids
// alone, where its data API takes either. https://docs.aws.amazon.com/appconfig/2019-10-09/APIReference/Welcome.html
import type { AppConfigClient } from '@aws-sdk/client-appconfig'
import type { AppConfigProfile } from '../../gateway/config/appconfig.ts'
import { RevokeError } from './errors.ts'

export type ControlClient = Pick<AppConfigClient, 'send'>

export interface AppConfigIds {
  readonly ApplicationId: string
  readonly EnvironmentId: string
  readonly ConfigurationProfileId: string
  readonly DeploymentStrategyId: string
}

/** Far more than one account may have of anything here. */
const MAX_PAGES = 100

interface Named {
  readonly Id?: string | undefined
  readonly Name?: string | undefined
}

interface Page<T> {
  readonly Items?: readonly T[] | undefined
  readonly NextToken?: string | undefined
}

/** All items of a list that comes in pages. */
export async function allPages<T>(ask: (NextToken: string | undefined) => Promise<Page<T>>): Promise<T[]> {
  const items: T[] = []
  let token: string | undefined
  for (let page = 0; page < MAX_PAGES; page += 1) {
    const { Items, NextToken } = await ask(token)
    items.push(...(Items ?? []))
    if (NextToken === undefined || NextToken === '') return items
    token = NextToken
  }
  throw new RevokeError('appconfig-refused', 'AppConfig gives a list without end')
}

/**
 * @param strategy of deployments, by name or id; null = the one that is named as the application, as the deployment makes it
 * @throws RevokeError `appconfig-unknown`
 */
export async function resolveIds(
  client: ControlClient,
  { application, environment, profile }: AppConfigProfile,
  strategy: string | null,
): Promise<AppConfigIds> {
  const api = await import('@aws-sdk/client-appconfig')
  const ApplicationId = pick(
    'application',
    application,
    await allPages((NextToken) => client.send(new api.ListApplicationsCommand({ NextToken }))),
  )
  const [environments, profiles, strategies] = await Promise.all([
    allPages((NextToken) => client.send(new api.ListEnvironmentsCommand({ ApplicationId, NextToken }))),
    allPages((NextToken) =>
      client.send(new api.ListConfigurationProfilesCommand({ ApplicationId, NextToken })),
    ),
    allPages((NextToken) => client.send(new api.ListDeploymentStrategiesCommand({ NextToken }))),
  ])
  return {
    ApplicationId,
    EnvironmentId: pick('environment', environment, environments),
    ConfigurationProfileId: pick('configuration profile', profile, profiles),
    DeploymentStrategyId: pick('deployment strategy', strategy ?? application, strategies),
  }
}

function pick(kind: string, wanted: string, items: readonly Named[]): string {
  const found = items.filter(({ Id, Name }) => Id === wanted || Name === wanted)
  const [{ Id } = {}] = found
  if (Id !== undefined && found.length === 1) return Id
  if (found.length > 1) {
    // AppConfig takes two of one name.
    throw new RevokeError(
      'appconfig-unknown',
      `${found.length} have the name or id ${wanted}: name the ${kind} by an id of its own`,
    )
  }
  const names = items.map(({ Name = '?' }) => Name).slice(0, 20)
  const known = names.length === 0 ? 'there is none' : `known here: ${names.join(', ')}`
  const hint = kind === 'deployment strategy' ? '; --strategy takes another' : ''
  throw new RevokeError('appconfig-unknown', `AppConfig has no ${kind} ${wanted} (${known}${hint})`)
}
