// The parts of the authority that stand on AWS services. Apart from `build.ts`, so that who runs on files loads no SDK.
import { createSecretsManagerAuthority } from './authority/secrets-manager.ts'
import { type AwsClientOptions, createDynamoClient, createSecretsClient } from './aws-clients.ts'
import type { AwsParts } from './build.ts'
import { createDynamoIssuanceStore } from './issuances/dynamodb.ts'
import { createDynamoRateCounter } from './limits/counter.ts'
import { createDynamoReplayStore } from './replay/dynamodb.ts'

/** Secrets Manager with a client of its own, and stores on DynamoDB with one client for all. */
export function createAwsParts(clients: AwsClientOptions): AwsParts {
  return {
    authority: (options) =>
      createSecretsManagerAuthority({ ...options, client: createSecretsClient(clients) }),
    stores({ clock, random }) {
      const client = createDynamoClient(clients)
      return {
        replay: (table) => ({
          replay: createDynamoReplayStore({ client, table, clock, random }),
          rates: createDynamoRateCounter({ client, table, clock }),
        }),
        issuances: (table) => createDynamoIssuanceStore({ client, table }),
      }
    },
  }
}
