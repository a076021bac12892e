// `sallyport config check` as a user runs it.
import path from 'node:path'
import { describe, expect, test } from 'vitest'
import { createConfigDirectory } from '../../fixtures/config-directory.ts'
import { runSallyport } from '../../fixtures/sallyport.ts'

describe('sallyport config check', () => {
  test('says ok for what is right, and all that is wrong, one line a fault, with 1', async () => {
    await using place = await createConfigDirectory()
    const run = (...names: string[]) => runSallyport(['config', 'check', ...names], { cwd: place.path })
    expect(await run('smallest.yaml', 'everything.yaml')).toEqual({
      code: 0,
      stdout: 'smallest.yaml: ok\neverything.yaml: ok\n',
      stderr: '',
    })
    const bad = await run('smallest.yaml', 'named-twice.yaml')
    expect(bad).toMatchObject({ code: 1, stdout: 'smallest.yaml: ok\n' })
    expect(bad.stderr.trimEnd().split('\n')).toHaveLength(5)
    expect(bad.stderr).toContain('named-twice.yaml:13: destinations[2].name: "partner-bank" is also')
  })

  test('gives JSON where asked', async () => {
    await using place = await createConfigDirectory()
    const { code, stdout, stderr } = await runSallyport(['config', 'check', 'policy.yaml', '--json'], {
      cwd: place.path,
    })
    expect({ code, stderr }).toEqual({ code: 1, stderr: '' })
    const report = JSON.parse(stdout) as {
      ok: boolean
      faults: { file: string; line: number; key: string }[]
    }
    expect(report.ok).toBe(false)
    expect(report.faults[0]).toMatchObject({ file: 'policy.yaml', line: 9, key: 'destinations[0].roots' })
    expect(report.faults.map(({ file }) => path.basename(file))).toContain('wrong.cedar')
  })

  test('tells the two kinds of file apart, and a file that is neither', async () => {
    await using place = await createConfigDirectory()
    await place.write('identity.yaml', 'version: 1\ntrustDomain: example.org\nproofs: {}\n')
    await place.write('neither.yaml', 'hello: world\n')
    const run = (name: string) => runSallyport(['config', 'check', name], { cwd: place.path })
    expect((await run('identity.yaml')).stderr).toContain('identity.yaml:')
    expect(await run('neither.yaml')).toMatchObject({
      code: 1,
      stderr: expect.stringContaining('neither.yaml: neither gateway.yaml nor identity.yaml'),
    })
    expect((await run('nothing.yaml')).stderr).toMatch(/^nothing\.yaml: no such file/)
  })

  test('reads what identity.yaml refers to, and says its warnings', async () => {
    await using place = await createConfigDirectory()
    await place.write(
      'identity.yaml',
      `version: 1
trustDomain: example.org
issuer: https://identity.example.org
tls: {certificate: file:nothing.pem, key: file:nothing.key}
authority: {files: {directory: ca}}
proofs: {oidc: [{name: main, issuer: "https://issuer.example"}]}
registrations:
  - {name: one, spiffeId: spiffe://example.org/one, match: {oidc: main, claims: {email: a@example.org}}}
`,
    )
    const { code, stdout, stderr } = await runSallyport(['config', 'check', 'identity.yaml'], {
      cwd: place.path,
    })
    expect({ code, stdout }).toEqual({ code: 1, stdout: '' })
    expect(stderr.trimEnd().split('\n')).toEqual([
      expect.stringContaining('identity.yaml:4: tls.certificate: nothing.pem: no such file'),
      expect.stringContaining('identity.yaml:4: tls.key: nothing.key: no such file'),
      expect.stringContaining(
        'warning: identity.yaml:8: registrations[0].match.claims.email: email may mean',
      ),
    ])
  })
})
