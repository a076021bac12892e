// Whether one caller could match two registrations. Where it cannot be ruled out the answer is yes: a warning too many
// costs a look, one too few a caller that suddenly has to choose.
import type { AwsMatch, Match, OidcMatch } from './match.ts'

/** Whether some text fits both patterns, in which `*` is any run of characters. */
export function globsMeet(one: string, other: string): boolean {
  // meets[j]: the part of `one` read so far and the first j characters of `other` have a text in common.
  let meets = [true]
  for (let j = 1; j <= other.length; j++) meets[j] = meets[j - 1] === true && other[j - 1] === '*'
  for (const character of one) {
    const next = [meets[0] === true && character === '*']
    for (let j = 1; j <= other.length; j++) {
      const wanted = other[j - 1]
      next[j] =
        character === '*' || wanted === '*'
          ? meets[j] === true || next[j - 1] === true || meets[j - 1] === true
          : meets[j - 1] === true && character === wanted
    }
    meets = next
  }
  return meets[other.length] === true
}

function agree(one: Readonly<Record<string, unknown>>, other: Readonly<Record<string, unknown>>): boolean {
  return Object.entries(one).every(([name, value]) => !Object.hasOwn(other, name) || other[name] === value)
}

/**
 * Claims that hold one text wherever they occur. Of every other one an issuer may make a list (`scp`, `roles`, `groups`,
 * `amr`), in which two texts stand side by side and two registrations both find theirs.
 */
const SINGLE =
  /^(?:sub|iss|cid|azp|appid|oid|tid|ref|ref_type|ref_protected|environment|event_name|pipeline_source|project_path|namespace_path|job_workflow_ref|repository.*|.*_id|kubernetes\.io:.*|path\..*)$/

/** Whether one token can have both; a boolean never stands in a list. */
function claimsMeet(one: OidcMatch['claims'], other: OidcMatch['claims']): boolean {
  return Object.entries(one).every(([name, value]) => {
    const wanted = Object.hasOwn(other, name) ? other[name] : value
    if (wanted === value) return true
    return typeof wanted === 'string' && typeof value === 'string' && !SINGLE.test(name)
  })
}

function oidcMeets(one: OidcMatch, other: OidcMatch): boolean {
  return one.provider === other.provider && claimsMeet(one.claims, other.claims)
}

function awsMeets(one: AwsMatch, other: AwsMatch): boolean {
  const roles =
    one.role.partition === other.role.partition &&
    one.role.account === other.role.account &&
    (one.anyPath || other.anyPath || globsMeet(one.role.path, other.role.path)) &&
    globsMeet(one.role.name, other.role.name)
  const either = (a: string | null, b: string | null): boolean => a === null || b === null || globsMeet(a, b)
  return (
    roles &&
    agree(one.principalTags, other.principalTags) &&
    either(one.roleId, other.roleId) &&
    either(one.organization, other.organization) &&
    either(one.lambdaFunction?.region ?? null, other.lambdaFunction?.region ?? null) &&
    either(one.lambdaFunction?.name ?? null, other.lambdaFunction?.name ?? null)
  )
}

/** Whether one proof could match both. */
export function canOverlap(one: Match, other: Match): boolean {
  if (one.oidc !== null && other.oidc !== null) return oidcMeets(one.oidc, other.oidc)
  return one.aws !== null && other.aws !== null && awsMeets(one.aws, other.aws)
}
