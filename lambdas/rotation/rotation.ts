// What the steps of a rotation have in common: what they are given, and how they fail.
import { SallyportError } from '../../common/errors.ts'
import type { CaTools } from '../identity/authority/advance.ts'
import type { AuthorityDocument } from '../identity/authority/document.ts'
import type { AuthorityLog } from '../identity/log.ts'
import type { IssuingSecret } from './secret.ts'

export type RotationErrorCode =
  | 'rotation-disabled'
  | 'rotation-token-unknown'
  | 'rotation-not-pending'
  | 'rotation-blocked'
  | 'rotation-base-moved'
  | 'rotation-too-late'
  | 'rotation-test-failed'
  | 'rotation-event'
  | 'rotation-environment'

export class RotationError extends SallyportError<RotationErrorCode> {}

/** Throws where the pending document must not become current. `current` is null at birth. */
export type CheckPending = (
  pending: AuthorityDocument,
  current: AuthorityDocument | null,
  now: Date,
) => Promise<void>

export interface RotationOptions extends IssuingSecret {
  /** The ClientRequestToken: the id of the version that is to be. */
  readonly token: string
  readonly tools: CaTools
  readonly check: CheckPending
  readonly clock: () => Date
  readonly log: AuthorityLog
}
