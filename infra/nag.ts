// What the rule packs of cdk-nag find and we leave as it is, each with the reason. Everything else they find fails the synth.
import * as cdk from 'aws-cdk-lib'
import { AwsSolutionsChecks, NIST80053R5Checks } from 'cdk-nag'
import type { IConstruct } from 'constructs'

export function addRulePacks(app: cdk.App): void {
  cdk.Validations.of(app).addPlugins(new AwsSolutionsChecks(app), new NIST80053R5Checks(app))
}

/** By rule. */
export type Acknowledged = Readonly<Record<string, string>>

export function acknowledge(scope: IConstruct, rules: Acknowledged): void {
  for (const [id, reason] of Object.entries(rules)) cdk.Validations.of(scope).acknowledge({ id, reason })
}
