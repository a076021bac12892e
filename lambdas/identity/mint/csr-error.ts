// Why a certification request is refused. The caller proved who he is by then, so he is told.
import { SallyportError } from '../../../common/errors.ts'

export type CsrErrorCode =
  | 'csr-too-large'
  | 'csr-malformed'
  | 'csr-signature'
  | 'key-unsupported'
  | 'key-weak'
  | 'key-of-authority'

export class CsrError extends SallyportError<CsrErrorCode> {}
