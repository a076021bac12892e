// The forms of single values in the settings of a deployment. Messages that begin with `expected` get the value found
// appended (common/schema-faults.ts).
import { isIPv4 } from 'node:net'
import * as z from 'zod'

/** IPv4 network in CIDR form, with no bit set behind its length. */
export function isCidr(text: string): boolean {
  const [address = '', bits = '', ...rest] = text.split('/')
  if (rest.length > 0 || !isIPv4(address) || !/^(?:\d|[12]\d|3[0-2])$/.test(bits)) return false
  const value = address.split('.').reduce((sum, part) => sum * 256 + Number(part), 0)
  return value % 2 ** (32 - Number(bits)) === 0
}

const DNS_NAME =
  /^(?=.{1,253}$)(?:[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\.)+[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$/

export const cidr = z.string().refine(isCidr, 'expected an IPv4 network such as 10.0.0.0/16')
/** A network that may be let in: never the whole internet. */
export const clientCidr = cidr.refine(
  (text) => text.split('/')[1] !== '0',
  'expected the networks of your clients, not the whole internet',
)
export const dnsName = z.string().regex(DNS_NAME, 'expected a DNS name in lower case with a dot in it')
export const account = z.string().regex(/^\d{12}$/, 'expected an account id of twelve digits, in quotes')
export const region = z
  .string()
  .regex(/^[a-z]{2,8}(?:-[a-z]{1,16}){1,3}-\d{1,2}$/, 'expected a region such as eu-west-1')
/** It begins the names of stacks and of what two stacks must call by the same name. */
export const deploymentName = z
  .string()
  .regex(/^[a-z][a-z0-9-]{1,30}[a-z0-9]$/, 'expected 3 to 32 lower-case letters, digits and hyphens')
export const listenerName = z.string().regex(/^[A-Za-z0-9][A-Za-z0-9._-]{0,62}$/, 'expected a listener name')

/** Of DynamoDB. */
export const tableName = z
  .string()
  .regex(/^[A-Za-z0-9_.-]{3,255}$/, 'expected the name of a table, not its ARN')

/** The id of an AWS resource such as `vpc-0abc`. */
export function resourceId(prefix: string) {
  return z
    .string()
    .regex(new RegExp(`^${prefix}-[0-9a-f]{4,32}$`), `expected an id such as ${prefix}-0a1b2c3d`)
}

/** An ARN of one service. */
export function arn(service: string) {
  return z.string().regex(new RegExp(`^arn:aws[a-z-]*:${service}:`), `expected an ARN of ${service}`)
}

export function seconds(min: number, max: number) {
  return z.int(`expected a whole number of seconds from ${min} to ${max}`).min(min).max(max)
}
