// References to AWS Secrets Manager in gateway.yaml: `secretsmanager:<arn>#<field>`. Only the form is judged here.

/** Where a secret is. Printing it gives the text of the reference, which holds nothing secret. */
export class SecretReference {
  readonly arn: string
  readonly region: string
  /** A key of the JSON object that the secret is; null = the whole text. */
  readonly field: string | null

  constructor(arn: string, region: string, field: string | null) {
    this.arn = arn
    this.region = region
    this.field = field
  }

  toString(): string {
    return `secretsmanager:${this.arn}${this.field === null ? '' : `#${this.field}`}`
  }
}

/** A path as it stands in the configuration, or a secret. */
export type Reference = string | SecretReference

export const SECRET_PREFIX = 'secretsmanager:'

/** Of the reference's own; Secrets Manager has none for keys in a value. */
const MAX_FIELD_LENGTH = 256

// Partition, region, account and name as "Secrets Manager identifiers" and CreateSecret of the API reference have them. A
// name alone would be looked for in whatever account and region the process happens to be in.
const ARN =
  /^arn:aws(?:-[a-z]{1,16}){0,3}:secretsmanager:([a-z]{2,8}(?:-[a-z]{1,16}){1,3}-\d{1,2}):\d{12}:secret:[A-Za-z0-9/_+=.@-]{1,519}$/

/** What stands behind `secretsmanager:`, or what is wrong with it. */
export function parseSecretReference(
  text: string,
): SecretReference | { readonly message: string; readonly remedy: string } {
  const hash = text.indexOf('#')
  const arn = hash === -1 ? text : text.slice(0, hash)
  const field = hash === -1 ? null : text.slice(hash + 1)
  const region = ARN.exec(arn)?.[1]
  if (region === undefined) {
    return {
      message: 'expected secretsmanager: and the ARN of a secret',
      remedy: 'such as secretsmanager:arn:aws:secretsmanager:eu-west-1:111122223333:secret:bank-Ab12Cd#key',
    }
  }
  if (field !== null && (field === '' || field.length > MAX_FIELD_LENGTH || /[^\x20-\x7e]/.test(field))) {
    return {
      message: 'expected a key of the JSON object behind the #',
      remedy: 'leave out the # where the secret is the PEM text itself',
    }
  }
  return new SecretReference(arn, region, field)
}
