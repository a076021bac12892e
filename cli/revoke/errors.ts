// Why a list of revocations was not changed, in words for whoever runs the command.
import { SallyportError } from '../../common/errors.ts'

export type RevokeErrorCode =
  /** The command line is wrong. */
  | 'usage'
  | 'list-unreadable'
  | 'list-unwritable'
  /** What is there is no list of revocations, or what would be written is none. */
  | 'list-broken'
  | 'revoked-already'
  | 'not-revoked'
  /** Somebody else changed the list at the same time. */
  | 'list-changed'
  /** No application, environment, profile or strategy of that name. */
  | 'appconfig-unknown'
  | 'appconfig-refused'
  /** The new list is kept, and is not what gateways are given. */
  | 'not-deployed'

export class RevokeError extends SallyportError<RevokeErrorCode> {}
