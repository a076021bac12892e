// What the validator refuses before AppConfig hands it out. Of the gateway's own identity nothing is said here: in a
// deployment it comes from the authority.
import { readFileSync } from 'node:fs'
import path from 'node:path'
import { expect, test } from 'vitest'
import { formatFault } from '../../../../common/fault.ts'
import { readGatewayNeeds } from '../../../../gateway/config/needs.ts'
import { readDeployed } from '../../../../lambdas/validate-config/deployed.ts'
import { validateBundle } from '../../../../lambdas/validate-config/validate.ts'

const SECRET = 'arn:aws:secretsmanager:eu-west-1:111122223333:secret:bank-Ab12Cd'
const gateway = (destination = '', listener = '') => `version: 1
trustDomain: example.org
identity: { files: { certificate: a.pem, key: b.pem, bundle: c.pem } }
listeners: [{ name: proxy, address: "0.0.0.0:8443", protocol: connect, proxyProtocol: { from: [10.0.0.0/16] }${listener} }]
destinations: [{ name: bank, hosts: [api.bank.example], ports: [443]${destination} }]
policy: { files: [policy.cedar] }
`
const POLICY = `@id("a") permit (principal is Workload, action, resource == Destination::"bank");\n`
const deployed = readDeployed(JSON.stringify(readGatewayNeeds('gateway.yaml', gateway())))

async function faultsOf(files: Readonly<Record<string, string>>): Promise<readonly string[]> {
  const { faults } = await validateBundle(Buffer.from(JSON.stringify({ files })), deployed)
  return faults.filter(({ key }) => key?.startsWith('identity') !== true).map(formatFault)
}

test('a configuration that needs what is deployed, and no more', async () => {
  expect(await faultsOf({ 'gateway.yaml': gateway(), 'policy.cedar': POLICY })).toEqual([])
})

const CERTIFICATE = `, clientCertificates: [{ workloads: ["spiffe://example.org/**"], certificate: "secretsmanager:${SECRET}#crt", key: "secretsmanager:${SECRET}#key" }]`

test.each<[string, Record<string, string>, RegExp]>([
  ['another port', { 'gateway.yaml': gateway().replace('[443]', '[443, 1433]') }, /needs-deploy: port 1433/],
  [
    'a secret that the task may not read',
    { 'gateway.yaml': gateway(CERTIFICATE) },
    /needs-deploy: secret arn:aws:secretsmanager/,
  ],
  [
    'another listener',
    { 'gateway.yaml': gateway().replace('8443', '8444') },
    /needs-deploy: listener proxy on port 8444 with PROXY/,
  ],
  [
    'a listener without PROXY protocol',
    { 'gateway.yaml': gateway().replace(', proxyProtocol: { from: [10.0.0.0/16] }', '') },
    /needs-deploy: listener proxy on port 8443 without PROXY/,
  ],
  [
    'a listener that is gone',
    { 'gateway.yaml': gateway().replace('name: proxy', 'name: other') },
    /needs-deploy: no listener proxy/,
  ],
  [
    'an admin port outside the task',
    {
      'gateway.yaml': `${gateway()}admin: { address: "0.0.0.0:9901", workloads: ["spiffe://example.org/sallyport/admin/**"] }\n`,
    },
    /needs-deploy: admin port 9901/,
  ],
  [
    'resolvers of its own',
    { 'gateway.yaml': `${gateway()}dns: { servers: ["10.0.0.9:53"] }\n` },
    /needs-deploy: DNS server 10\.0\.0\.9:53/,
  ],
  [
    'another health port',
    { 'gateway.yaml': `${gateway()}health: { address: "0.0.0.0:9903" }\n` },
    /needs-deploy: health port 9903/,
  ],
  [
    'a list of revocations of its own',
    { 'gateway.yaml': `${gateway()}revocations: { source: "appconfig:a/b/c" }\n` },
    /needs-deploy: revocations from appconfig:a\/b\/c/,
  ],
  [
    'checkpoints in a bucket of its own',
    { 'gateway.yaml': `${gateway()}audit: { checkpoints: "s3://mine/x" }\n` },
    /needs-deploy: checkpoints in mine/,
  ],
  [
    'records in a file',
    { 'gateway.yaml': `${gateway()}audit: { sink: "file:audit.log" }\n` },
    /needs-deploy: audit records in the file audit\.log/,
  ],
  [
    'another directory',
    { 'gateway.yaml': `${gateway()}lastKnownGood: { directory: /tmp }\n` },
    /needs-deploy: the directory \/tmp/,
  ],
  ['an unknown key', { 'gateway.yaml': gateway(', prots: [1]') }, /unknown key "prots"/],
  ['no policy', { 'policy.cedar': 'permit (principal, action, resource);\n' }, /policy\.cedar:1: /],
  [
    'a policy of a destination that is not there',
    { 'policy.cedar': POLICY.replace('"bank"', '"bnak"') },
    /bnak/,
  ],
  [
    'a policy file outside of the bundle',
    { 'gateway.yaml': gateway().replace('policy.cedar', '../../etc/passwd') },
    /no such file in the bundle/,
  ],
  [
    'a file of the disk, which the task has not',
    { 'gateway.yaml': gateway(', roots: "file:/etc/ssl/cert.pem"') },
    /a deployed gateway has no file but the bundle/,
  ],
  [
    'a private key',
    { 'partner.pem': '-----BEGIN EC PRIVATE KEY-----\nMHcCAQ==\n' },
    /files\["partner\.pem"\]: holds a private key/,
  ],
  [
    'a private key as JWK',
    { 'key.json': '{"kty":"EC","d":"c2VjcmV0"}' },
    /files\["key\.json"\]: holds a private key/,
  ],
])('%s is refused', async (_name, changes, message) => {
  const faults = await faultsOf({ 'gateway.yaml': gateway(), 'policy.cedar': POLICY, ...changes })
  expect(faults.join('\n')).toMatch(message)
})

test.each([
  ['no JSON', '{'],
  ['a list', '[]'],
  ['no gateway.yaml', '{"files":{"policy.cedar":""}}'],
  ['a path that leads out', '{"files":{"gateway.yaml":"","../x":""}}'],
  ['another key', '{"files":{"gateway.yaml":""},"more":1}'],
])('%s is no bundle', async (_name, text) => {
  const { faults } = await validateBundle(Buffer.from(text), deployed)
  expect(faults.map(({ file }) => file)).toEqual(['bundle'])
})

test('the files that infra deploys have faults in identity alone', async () => {
  const folder = path.resolve(import.meta.dirname, '../../../../infra/configuration/files')
  const read = (name: string) => readFileSync(path.join(folder, name), 'utf8')
  const files = { 'gateway.yaml': read('gateway.yaml'), 'policy.cedar': read('policy.cedar') }
  const given = readDeployed(JSON.stringify(readGatewayNeeds('gateway.yaml', files['gateway.yaml'])))
  const { faults } = await validateBundle(Buffer.from(JSON.stringify({ files })), given)
  expect(faults.filter(({ key }) => key?.startsWith('identity') !== true)).toEqual([])
})
