// The tables of the authority: proofs that were used, which go by themselves, and what was issued, which stays.
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as cdk from 'aws-cdk-lib'
import type * as kms from 'aws-cdk-lib/aws-kms'
import { Construct } from 'constructs'

export interface AuthorityTablesProps {
  readonly removalPolicy: cdk.RemovalPolicy
  readonly deletionProtection: boolean
  readonly encryptionKey?: kms.IKey
}

export class AuthorityTables extends Construct {
  readonly replay: dynamodb.Table
  readonly issuances: dynamodb.Table
  readonly #key: kms.IKey | undefined

  constructor(scope: Construct, id: string, props: AuthorityTablesProps) {
    super(scope, id)
    this.#key = props.encryptionKey
    this.replay = this.#make('Replay', props, { timeToLiveAttribute: 'expiresAt' })
    this.issuances = this.#make('Issuances', props, {})
  }

  /** What the identity function does (docs/authority.md), and no reading of all that was issued. */
  grantUse(grantee: iam.IGrantable): void {
    const allow = (table: dynamodb.Table, actions: string[]) =>
      grantee.grantPrincipal.addToPrincipalPolicy(
        new iam.PolicyStatement({ actions, resources: [table.tableArn] }),
      )
    allow(this.replay, ['dynamodb:PutItem', 'dynamodb:GetItem', 'dynamodb:UpdateItem'])
    allow(this.issuances, ['dynamodb:PutItem', 'dynamodb:GetItem'])
    if (this.#key === undefined) return
    grantee.grantPrincipal.addToPrincipalPolicy(
      new iam.PolicyStatement({
        // Those of grantEncryptDecrypt, without its wildcards.
        actions: [
          'kms:Decrypt',
          'kms:DescribeKey',
          'kms:Encrypt',
          'kms:GenerateDataKey',
          'kms:ReEncryptFrom',
          'kms:ReEncryptTo',
        ],
        resources: [this.#key.keyArn],
      }),
    )
  }

  #make(id: string, props: AuthorityTablesProps, extra: Partial<dynamodb.TableProps>): dynamodb.Table {
    return new dynamodb.Table(this, id, {
      partitionKey: { name: 'id', type: dynamodb.AttributeType.STRING },
      billingMode: dynamodb.BillingMode.PAY_PER_REQUEST,
      pointInTimeRecoverySpecification: { pointInTimeRecoveryEnabled: true },
      removalPolicy: props.removalPolicy,
      deletionProtection: props.deletionProtection,
      ...(this.#key === undefined
        ? { encryption: dynamodb.TableEncryption.AWS_MANAGED }
        : { encryption: dynamodb.TableEncryption.CUSTOMER_MANAGED, encryptionKey: this.#key }),
      ...extra,
    })
  }
}
