// The authority's API on the internet. It has no authorizer: the proof in each request is what is judged, by the function.
// With `routes` it is only what verifiers of JWT-SVIDs read.
import { AccessLogFormat } from 'aws-cdk-lib/aws-apigateway'
import * as apigateway from 'aws-cdk-lib/aws-apigatewayv2'
import { HttpLambdaIntegration } from 'aws-cdk-lib/aws-apigatewayv2-integrations'
import * as acm from 'aws-cdk-lib/aws-certificatemanager'
import type * as lambda from 'aws-cdk-lib/aws-lambda'
import { Construct } from 'constructs'
import { ACCESS_LOG_FIELDS, createAccessLog, type LogOptions } from './access-log.ts'

export interface CustomDomain {
  readonly domainName: string
  /** Of this region. */
  readonly certificateArn: string
}

export interface PublicApiProps extends LogOptions {
  readonly customDomain?: CustomDomain | undefined
  /** Requests a second, and at once; of all callers together. */
  readonly throttle: { readonly rate: number; readonly burst: number }
}

/** What anybody may read who verifies a JWT-SVID. */
const DISCOVERY = ['/.well-known/openid-configuration', '/v1/jwks']

export class PublicApi extends Construct {
  readonly api: apigateway.HttpApi
  readonly stage: apigateway.HttpStage
  /** The issuer: https, without a slash at its end. */
  readonly url: string
  readonly #domain: apigateway.DomainName | null

  constructor(scope: Construct, id: string, { customDomain, throttle, ...log }: PublicApiProps) {
    super(scope, id)
    this.api = new apigateway.HttpApi(this, 'Api', {
      description: 'The authority of Sallyport',
      createDefaultStage: false,
      // Else the authority would have two names, and proofs are made for one.
      disableExecuteApiEndpoint: customDomain !== undefined,
    })
    this.#domain = customDomain === undefined ? null : this.#makeDomain(customDomain)
    this.url = customDomain === undefined ? this.api.apiEndpoint : `https://${customDomain.domainName}`
    const logGroup = createAccessLog(this, 'AccessLog', log)
    this.stage = new apigateway.HttpStage(this, 'Stage', {
      httpApi: this.api,
      stageName: '$default',
      autoDeploy: true,
      throttle: { rateLimit: throttle.rate, burstLimit: throttle.burst },
      detailedMetricsEnabled: true,
      accessLogSettings: {
        destination: new apigateway.LogGroupLogDestination(logGroup),
        format: AccessLogFormat.custom(ACCESS_LOG_FIELDS),
      },
      ...(this.#domain === null ? {} : { domainMapping: { domainName: this.#domain } }),
    })
  }

  /** Null without a custom domain: what a DNS record of it must point at. */
  get domainTarget(): string | null {
    return this.#domain?.regionalDomainName ?? null
  }

  route(handler: lambda.IFunction, which: 'all' | 'discovery'): void {
    const integration = new HttpLambdaIntegration('Function', handler)
    const paths = which === 'all' ? ['/{proxy+}'] : DISCOVERY
    for (const path of paths) {
      const methods = which === 'all' ? [apigateway.HttpMethod.ANY] : [apigateway.HttpMethod.GET]
      this.api.addRoutes({ path, methods, integration })
    }
  }

  #makeDomain({ domainName, certificateArn }: CustomDomain): apigateway.DomainName {
    return new apigateway.DomainName(this, 'Domain', {
      domainName,
      certificate: acm.Certificate.fromCertificateArn(this, 'Certificate', certificateArn),
    })
  }
}
