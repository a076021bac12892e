// The development switch works on a developer's machine alone.
import { describe, expect, it } from 'vitest'
import { readIdentityEnvironment } from '../../../../lambdas/identity/environment.ts'

describe('readIdentityEnvironment', () => {
  it.each([
    [undefined, false],
    ['', false],
    ['0', false],
    ['1', true],
  ])('reads SALLYPORT_DEV=%s as %s', (value, dev) => {
    expect(readIdentityEnvironment({ SALLYPORT_DEV: value }).dev).toBe(dev)
  })

  it.each(['true', 'yes', ' 1'])('refuses SALLYPORT_DEV=%s, which says neither', (value) => {
    expect(() => readIdentityEnvironment({ SALLYPORT_DEV: value })).toThrow(
      expect.objectContaining({ code: 'dev-switch-malformed' }),
    )
  })

  it.each([
    'AWS_LAMBDA_FUNCTION_NAME',
    'AWS_LAMBDA_RUNTIME_API',
    'AWS_EXECUTION_ENV',
    'ECS_CONTAINER_METADATA_URI',
    'ECS_CONTAINER_METADATA_URI_V4',
    'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
  ])('refuses the switch where %s is set', (name) => {
    expect(() => readIdentityEnvironment({ SALLYPORT_DEV: '1', [name]: 'x' })).toThrow(
      expect.objectContaining({ code: 'dev-switch-in-deployment' }),
    )
    expect(readIdentityEnvironment({ [name]: 'x' }).dev).toBe(false)
  })

  it('keeps the variables that override the file, where they are not empty', () => {
    const environment = readIdentityEnvironment({
      SALLYPORT_ISSUER: 'https://x.example',
      SALLYPORT_REPLAY_TABLE: '',
    })
    expect(environment.overrides).toEqual({ SALLYPORT_ISSUER: 'https://x.example' })
  })
})
