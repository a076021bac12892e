// The record without which nothing is issued: it stands, on disk, before the answer leaves.

interface IssuanceFacts {
  readonly spiffeId: string
  readonly registration: string
  readonly proof: { readonly issuer: string; readonly subject: string; readonly tokenId: string }
  readonly issuedAt: string
  readonly expiresAt: string
  readonly requestId: string
}

export interface X509Issuance extends IssuanceFacts {
  readonly kind: 'x509'
  /** Lower-case hexadecimal, two digits a byte. */
  readonly serialNumber: string
  /** Lower-case hexadecimal SHA-256 of the certificate's DER. */
  readonly certificateSha256: string
}

export interface JwtIssuance extends IssuanceFacts {
  readonly kind: 'jwt'
  /** Its `jti`. */
  readonly tokenId: string
  readonly audience: string
  /** The `kid` that signed it. */
  readonly keyId: string
}

export type Issuance = X509Issuance | JwtIssuance

export interface IssuanceStore {
  /** Resolves when the record is safe; rejects otherwise, and then the certificate must not be given out. */
  put(issuance: Issuance): Promise<void>
}
