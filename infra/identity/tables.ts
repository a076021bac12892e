// The tables of the authority: proofs that were used, which go by themselves, and what was issued, which stays.
import * as dynamodb from 'aws-cdk-lib/aws-dynamodb'
import * as iam from 'aws-cdk-lib/aws-iam'
import type * as cdk from 'aws-cdk-lib'
import type * as kms from 'aws-cdk-lib/aws-kms'
import { Construct } from 'constructs'

export interface AuthorityTablesProps {
  readonly removalPolicy: cdk.RemovalPolicy
  readonly deletionProtection: boolean
  /** Names of tables that are there. @default - they are made */
  readonly adopt?: { readonly replay: string; readonly issuances: string } | undefined
  readonly encryptionKey?: kms.IKey
}

export class AuthorityTables extends Construct {
  readonly replay: dynamodb.ITable
  readonly issuances: dynamodb.ITable
  readonly #key: kms.IKey | undefined

  constructor(scope: Construct, id: string, props: AuthorityTablesProps) {
    super(scope, id)
    this.#key = props.encryptionKey
    const { adopt } = props
    const find = (name: 'Replay' | 'Issuances', table: string) =>
      dynamodb.Table.fromTableName(this, name, table)
    this.replay =
      adopt === undefined
        ? this.#make('Replay', props, { timeToLiveAttribute: 'expiresAt' })
        : find('Replay', adopt.replay)
    this.issuances =
      adopt === undefined ? this.#make('Issuances', props, {}) : find('Issuances', adopt.issuances)
  }

  /** What the identity function does (docs/authority.md), and no reading of all that was issued. */
  grantUse(grantee: iam.IGrantable): void {
    const allow = (table: dynamodb.ITable, actions: string[]) =>
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

  #make(id: string, props: AuthorityTablesProps, extra: Partial<dynamodb.TableProps>): dynamodb.ITable {
    // CDK's own class does not fit its interface under exactOptionalPropertyTypes.
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
    }) as dynamodb.ITable
  }
}
