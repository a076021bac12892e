// ARNs of IAM roles: as AWS writes them in answers and tokens, and as registrations name them. What is not exactly one
// of these forms is refused, which leaves out root, IAM users and federated users.

const PARTITION = '(aws|aws-cn|aws-us-gov)'
/** IAM's own limits (IAM API reference, CreateRole: RoleName and Path). */
const NAME = '[A-Za-z0-9_+=,.@-]{1,64}'
const PATH = '(?:[\\x21-\\x29\\x2b-\\x2e\\x30-\\x7e]+/)*'
const SESSION = '[A-Za-z0-9_+=,.@-]{2,64}'

const ROLE = new RegExp(`^arn:${PARTITION}:iam::(\\d{12}):role/(${PATH})(${NAME})$`)
const ASSUMED = new RegExp(`^arn:${PARTITION}:sts::(\\d{12}):assumed-role/(${NAME})/(${SESSION})$`)
const ROLE_PATTERN = new RegExp(
  `^arn:${PARTITION}:iam::(\\d{12}):role/((?:[\\x21-\\x2e\\x30-\\x7e]+/)*)([A-Za-z0-9_+=,.@*-]{1,64})$`,
)
const FUNCTION = new RegExp(
  `^arn:${PARTITION}:lambda:([a-z0-9-]{1,32}):(\\d{12}):function:([A-Za-z0-9_-]{1,140})(?::[A-Za-z0-9$_-]{1,128})?$`,
)
const FUNCTION_PATTERN = new RegExp(
  `^arn:${PARTITION}:lambda:([a-z0-9-]{1,32}):(\\d{12}):function:([A-Za-z0-9_*-]{1,140})$`,
)

export interface RoleArn {
  readonly partition: string
  readonly account: string
  /** `/` or `/team/`. */
  readonly path: string
  readonly name: string
}

/** `arn:aws:iam::<account>:role/[path/]<name>`, or null. */
export function parseRoleArn(text: string): RoleArn | null {
  const [, partition, account, path, name] = ROLE.exec(text) ?? []
  if (partition === undefined || account === undefined || name === undefined) return null
  return { partition, account, path: `/${path ?? ''}`, name }
}

export interface AssumedRoleArn {
  readonly partition: string
  readonly account: string
  /** Without the role's path, which AWS leaves out here. */
  readonly name: string
  /** Chosen by the caller: never to be matched. */
  readonly session: string
}

/** `arn:aws:sts::<account>:assumed-role/<name>/<session>`, or null. */
export function parseAssumedRoleArn(text: string): AssumedRoleArn | null {
  const [, partition, account, name, session] = ASSUMED.exec(text) ?? []
  if (partition === undefined || account === undefined || name === undefined || session === undefined)
    return null
  return { partition, account, name, session }
}

/** As a RoleArn; `*` in path or name stands for any characters but a slash. Null where it is no such pattern. */
export function parseRolePattern(text: string): RoleArn | null {
  const [, partition, account, path, name] = ROLE_PATTERN.exec(text) ?? []
  if (partition === undefined || account === undefined || name === undefined) return null
  return { partition, account, path: `/${path ?? ''}`, name }
}

export interface FunctionArn {
  readonly partition: string
  readonly region: string
  readonly account: string
  readonly name: string
}

function readFunction(text: string, form: RegExp): FunctionArn | null {
  const [, partition, region, account, name] = form.exec(text) ?? []
  if (partition === undefined || region === undefined || account === undefined || name === undefined)
    return null
  return { partition, region, account, name }
}

/** `arn:aws:lambda:<region>:<account>:function:<name>[:<version or alias>]`, or null. */
export function parseFunctionArn(text: string): FunctionArn | null {
  return readFunction(text, FUNCTION)
}

/** As a FunctionArn without version; `*` in the name stands for any characters. */
export function parseFunctionPattern(text: string): FunctionArn | null {
  return readFunction(text, FUNCTION_PATTERN)
}

/** Whether `text` fits `pattern`, in which `*` is any run of characters but `/` and `:`. */
export function fitsGlob(pattern: string, text: string): boolean {
  const source = pattern
    .split('*')
    .map((part) => part.replaceAll(/[.*+?^${}()|[\]\\]/g, '\\$&'))
    .join('[^/:]*')
  return new RegExp(`^${source}$`).test(text)
}
