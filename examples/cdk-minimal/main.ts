// The smallest deployment: one account, one region, everything else by default. `npm run build` in the repository first,
// then `cdk deploy --all` here.
import * as cdk from 'aws-cdk-lib'
import { addDeployment, type Deployment } from '../../infra/app.ts'
import { type FindAsset, findBuilt } from '../../infra/assets.ts'
import { readSettings } from '../../infra/settings.ts'

export function build(app: cdk.App, findAsset: FindAsset = findBuilt): Deployment {
  const settings = readSettings('minimal', {
    name: 'minimal',
    stage: 'dev',
    account: '111122223333',
    region: 'eu-west-1',
  })
  return addDeployment(app, settings, findAsset)
}

if (import.meta.main) build(new cdk.App())
