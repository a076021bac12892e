// The parts of the authority that stand on AWS services. Apart from `build.ts`, so that who runs on files loads no SDK.
import { SecretsManagerClient } from '@aws-sdk/client-secrets-manager'
import { AWS_CALLS } from './authority/aws-calls.ts'
import {
  createSecretsManagerAuthority,
  type SecretsManagerAuthorityOptions,
} from './authority/secrets-manager.ts'
import type { Authority } from './authority/state.ts'
import { createDynamoClient } from './dynamodb-client.ts'
import { createDynamoIssuanceStore } from './issuances/dynamodb.ts'
import type { IssuanceStore } from './issuances/store.ts'
import { createDynamoRateCounter } from './limits/counter.ts'
import type { IdentityAppOptions } from './options.ts'
import { createDynamoReplayStore } from './replay/dynamodb.ts'

/** The authority of an issuing secret, with a client of its own. */
export function buildSecretsManagerAuthority(
  options: Omit<SecretsManagerAuthorityOptions, 'client'>,
): Authority {
  const client = new SecretsManagerClient(AWS_CALLS)
  return createSecretsManagerAuthority({ ...options, client })
}

export interface DynamoStores {
  /** Used proofs and counts, in one table. */
  replay(table: string): Pick<IdentityAppOptions, 'replay' | 'rates'>
  issuances(table: string): IssuanceStore
}

interface DynamoStoresOptions {
  readonly clock: () => Date
  readonly random: (bytes: number) => Uint8Array
}

/** Stores on DynamoDB, with one client for all. */
export function buildDynamoStores({ clock, random }: DynamoStoresOptions): DynamoStores {
  const client = createDynamoClient()
  return {
    replay: (table) => ({
      replay: createDynamoReplayStore({ client, table, clock, random }),
      rates: createDynamoRateCounter({ client, table, clock }),
    }),
    issuances: (table) => createDynamoIssuanceStore({ client, table }),
  }
}
