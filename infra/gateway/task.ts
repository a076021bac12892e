// A task of the gateway: one process on one vCPU, that may write one directory and read the secrets that its configuration
// names. Nobody can get a shell in it.
import * as cdk from 'aws-cdk-lib'
import * as ecs from 'aws-cdk-lib/aws-ecs'
import * as iam from 'aws-cdk-lib/aws-iam'
import * as logs from 'aws-cdk-lib/aws-logs'
import type * as kms from 'aws-cdk-lib/aws-kms'
import type { Construct } from 'constructs'
import { STATE_DIRECTORY } from './places.ts'

/** Of the image. */
export const USER = '65532:65532'
export const CONTAINER = 'gateway'

export interface TaskOptions {
  readonly image: ecs.ContainerImage
  readonly memoryMiB: number
  readonly openFiles: number
  readonly stopTimeout: cdk.Duration
  readonly command: readonly string[]
  readonly environment: Readonly<Record<string, string>>
  readonly ports: readonly number[]
  readonly healthPort: number
  readonly role: iam.Role
  readonly executionRole: iam.Role
  readonly logGroup: logs.ILogGroup
}

export interface TaskRoleOptions {
  /** Settled by the registration of the gateway. */
  readonly roleName: string | undefined
  /** As gateway.yaml has them. */
  readonly secretArns: readonly string[]
  readonly secretKeyArns: readonly string[]
}

function ecsTasks(scope: Construct): iam.IPrincipal {
  const { account } = cdk.Stack.of(scope)
  // Without it ECS of any account could be made to use the role in our name (confused deputy).
  return new iam.ServicePrincipal('ecs-tasks.amazonaws.com', {
    conditions: { StringEquals: { 'aws:SourceAccount': account } },
  })
}

/** Secrets Manager appends six characters to a name: an ARN without them means whatever they are. */
export function secretResource(arn: string): string {
  return /-[A-Za-z0-9]{6}$/.test(arn) ? arn : `${arn}-??????`
}

export function createTaskRole(scope: Construct, options: TaskRoleOptions): iam.Role {
  const { roleName, secretArns, secretKeyArns } = options
  const role = new iam.Role(scope, 'TaskRole', {
    description: "The gateway: by it the gateway proves itself to the authority and reads its partners' keys",
    assumedBy: ecsTasks(scope),
    ...(roleName === undefined ? {} : { roleName }),
  })
  if (secretArns.length > 0) {
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['secretsmanager:GetSecretValue'],
        resources: secretArns.map(secretResource),
      }),
    )
  }
  if (secretKeyArns.length > 0) {
    const { region, urlSuffix } = cdk.Stack.of(scope)
    role.addToPolicy(
      new iam.PolicyStatement({
        actions: ['kms:Decrypt'],
        resources: [...secretKeyArns],
        conditions: { StringEquals: { 'kms:ViaService': `secretsmanager.${region}.${urlSuffix}` } },
      }),
    )
  }
  return role
}

/** What ECS itself needs to start a task: the image and the log. */
export function createExecutionRole(scope: Construct): iam.Role {
  return new iam.Role(scope, 'ExecutionRole', { assumedBy: ecsTasks(scope) })
}

export function createLog(
  scope: Construct,
  retention: logs.RetentionDays | undefined,
  encryptionKey: kms.IKey | undefined,
): logs.LogGroup {
  return new logs.LogGroup(scope, 'Log', {
    retention: retention ?? logs.RetentionDays.THREE_MONTHS,
    // Audit records are in it: they outlive the stack.
    removalPolicy: cdk.RemovalPolicy.RETAIN,
    ...(encryptionKey === undefined ? {} : { encryptionKey }),
  })
}

export function createTask(scope: Construct, id: string, options: TaskOptions): ecs.FargateTaskDefinition {
  const definition = new ecs.FargateTaskDefinition(scope, id, {
    cpu: 1024,
    memoryLimitMiB: options.memoryMiB,
    runtimePlatform: {
      cpuArchitecture: ecs.CpuArchitecture.ARM64,
      operatingSystemFamily: ecs.OperatingSystemFamily.LINUX,
    },
    taskRole: options.role,
    executionRole: options.executionRole,
    volumes: [{ name: 'state' }],
  })
  const container = definition.addContainer(CONTAINER, {
    image: options.image,
    command: [...options.command],
    environment: { ...options.environment },
    user: USER,
    readonlyRootFilesystem: true,
    privileged: false,
    linuxParameters: createLimits(scope, id),
    stopTimeout: options.stopTimeout,
    // A process that dies starts again where its last known good configuration is; one that cannot start ends its task.
    enableRestartPolicy: true,
    restartIgnoredExitCodes: [0],
    restartAttemptPeriod: cdk.Duration.seconds(60),
    portMappings: [...options.ports, options.healthPort].map((containerPort) => ({ containerPort })),
    logging: ecs.LogDriver.awsLogs({
      logGroup: options.logGroup,
      streamPrefix: CONTAINER,
      // Non-blocking drops audit records in silence when CloudWatch is slow.
      mode: ecs.AwsLogDriverMode.BLOCKING,
    }),
  })
  container.addUlimits({
    name: ecs.UlimitName.NOFILE,
    softLimit: options.openFiles,
    hardLimit: options.openFiles,
  })
  container.addMountPoints({ sourceVolume: 'state', containerPath: STATE_DIRECTORY, readOnly: false })
  return definition
}

function createLimits(scope: Construct, id: string): ecs.LinuxParameters {
  const limits = new ecs.LinuxParameters(scope, `${id}Limits`, { initProcessEnabled: true })
  limits.dropCapabilities(ecs.Capability.ALL)
  return limits
}
