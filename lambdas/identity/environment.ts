// What the authority takes from the process environment, read once at start. Trusts that who sets the environment
// runs the process; still refuses the development switch where a deployment would run with it.
import { SallyportError } from '../../common/errors.ts'

export type EnvironmentErrorCode = 'dev-switch-in-deployment' | 'dev-switch-malformed'

export class EnvironmentError extends SallyportError<EnvironmentErrorCode> {}

export interface IdentityEnvironment {
  /** `SALLYPORT_DEV=1`: http and loopback addresses are allowed for issuers and listeners. */
  readonly dev: boolean
  /** Values that win over the configuration file, by variable name. */
  readonly overrides: Readonly<Record<string, string>>
}

/** Set by Lambda and ECS themselves. One of them is enough to know that this is no developer's machine. */
const DEPLOYMENT_MARKS = [
  'AWS_LAMBDA_FUNCTION_NAME',
  'AWS_LAMBDA_RUNTIME_API',
  'AWS_EXECUTION_ENV',
  'ECS_CONTAINER_METADATA_URI',
  'ECS_CONTAINER_METADATA_URI_V4',
  'AWS_CONTAINER_CREDENTIALS_RELATIVE_URI',
] as const

const OVERRIDES = [
  'SALLYPORT_ISSUER',
  'SALLYPORT_GATEWAY_DNS_NAMES',
  'SALLYPORT_ISSUING_SECRET',
  'SALLYPORT_REPLAY_TABLE',
  'SALLYPORT_ISSUANCES_TABLE',
] as const

function readDev(env: NodeJS.ProcessEnv): boolean {
  const value = env.SALLYPORT_DEV ?? ''
  if (value === '' || value === '0') return false
  if (value !== '1') {
    throw new EnvironmentError('dev-switch-malformed', 'SALLYPORT_DEV is neither 0 nor 1')
  }
  const mark = DEPLOYMENT_MARKS.find((name) => env[name] !== undefined && env[name] !== '')
  if (mark !== undefined) {
    throw new EnvironmentError(
      'dev-switch-in-deployment',
      `SALLYPORT_DEV=1 is refused where ${mark} is set: it is for a developer's machine alone`,
    )
  }
  return true
}

/** @throws EnvironmentError */
export function readIdentityEnvironment(env: NodeJS.ProcessEnv): IdentityEnvironment {
  const overrides: Record<string, string> = {}
  for (const name of OVERRIDES) {
    const value = env[name]
    if (value !== undefined && value !== '') overrides[name] = value
  }
  return { dev: readDev(env), overrides }
}
