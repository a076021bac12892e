// Why an identity could not be fetched, in words for whoever runs the command.
import { SallyportError } from '../../common/errors.ts'

export type IdentityFetchErrorCode =
  | 'authority-url'
  | 'authority-unreachable'
  | 'authority-refused'
  | 'answer-malformed'
  | 'answer-untrusted'
  | 'bundle-unreadable'
  | 'bundle-went-back'
  | 'token-unreadable'
  | 'aws-unavailable'
  | 'output-unwritable'

export class IdentityFetchError extends SallyportError<IdentityFetchErrorCode> {}
