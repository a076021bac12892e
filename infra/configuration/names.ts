// Names by which one part finds another without reading it: settled at synth, so that no stack waits in a circle.

/** Of AppConfig: `appconfig:<application>/<environment>/<profile>` (design §5.5). */
export interface ConfigurationNames {
  readonly application: string
  readonly environment: string
  readonly profile: string
}

export function configurationNames(deployment: string): ConfigurationNames {
  return { application: deployment, environment: 'gateway', profile: 'gateway' }
}

export function revocationNames(deployment: string): ConfigurationNames {
  return { application: `${deployment}-revocations`, environment: 'gateway', profile: 'revocations' }
}

export function sourceOf({ application, environment, profile }: ConfigurationNames): string {
  return `appconfig:${application}/${environment}/${profile}`
}

/** Of the metrics that are counted in audit records. */
export function metricNamespace(deployment: string): string {
  return `Sallyport/${deployment}`
}
