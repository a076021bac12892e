// The CDK app: `cdk deploy --all -c environment=prod`. The environment is one of environments.ts, `dev` where none is named.
import * as cdk from 'aws-cdk-lib'
import { acknowledgeFindings, addRulePacks } from './acknowledged.ts'
import { addDeployment } from './app.ts'
import { findBuilt } from './assets.ts'
import { ENVIRONMENTS } from './environments.ts'
import { adviseOf, readSettings } from './settings.ts'

const app = new cdk.App()
const name: unknown = app.node.tryGetContext('environment') ?? 'dev'
const input = typeof name === 'string' ? ENVIRONMENTS[name] : undefined
if (typeof name !== 'string' || input === undefined) {
  throw new Error(`expected -c environment=${Object.keys(ENVIRONMENTS).join(' or ')}, got ${String(name)}`)
}
const settings = readSettings(name, input)
for (const advice of adviseOf(settings)) process.stderr.write(`${settings.name}: ${advice}\n`)
addRulePacks(app)
acknowledgeFindings(addDeployment(app, settings, findBuilt), settings)
