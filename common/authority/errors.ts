// Why an identity could not be fetched, in words for whoever runs the command.
import { SallyportError } from '../errors.ts'

export type IdentityFetchErrorCode =
  | 'authority-url'
  | 'authority-unreachable'
  /** It answered, and could not do what it should: 5xx. */
  | 'authority-failed'
  | 'authority-refused'
  /** 401 and 403: another proof may be good enough. */
  | 'proof-refused'
  | 'registration-refused'
  | 'answer-malformed'
  | 'answer-untrusted'
  | 'bundle-unreadable'
  | 'bundle-went-back'
  | 'roots-unreadable'
  | 'token-unreadable'
  | 'aws-unavailable'
  | 'output-unwritable'

export class IdentityFetchError extends SallyportError<IdentityFetchErrorCode> {}
