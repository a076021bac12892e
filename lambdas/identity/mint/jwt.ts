// Makes a JWT-SVID (SPIFFE JWT-SVID.md): compact, ES256, one audience. It carries `iss`, `iat` and `jti` too, so that
// stock OIDC readers verify it by discovery. Its key signs JWTs alone, never certificates.
import { compactVerify, SignJWT } from 'jose'
import type { SpiffeId } from '../../../spiffe/id.ts'
import type { JwtSigningKey } from '../authority/jwt-keys.ts'
import { SelfCheckError } from './self-check.ts'

export interface MintJwtOptions {
  readonly key: JwtSigningKey
  readonly issuer: string
  readonly spiffeId: SpiffeId
  readonly audience: string
  readonly tokenId: string
  readonly now: Date
  readonly expiresAt: Date
}

/**
 * Signs a JWT-SVID and verifies it with the published key before it is returned.
 * @throws SelfCheckError
 */
export async function mintJwt(options: MintJwtOptions): Promise<string> {
  const { key, spiffeId } = options
  const token = await new SignJWT({
    sub: spiffeId.uri,
    aud: options.audience,
    iss: options.issuer,
    jti: options.tokenId,
    iat: Math.floor(options.now.getTime() / 1000),
    exp: Math.floor(options.expiresAt.getTime() / 1000),
  })
    .setProtectedHeader({ alg: key.alg, kid: key.kid, typ: 'JWT' })
    .sign(key.key)
  try {
    await compactVerify(token, key.publicKey, { algorithms: [key.alg] })
  } catch (error) {
    throw new SelfCheckError('self-check-failed', 'the JWT-SVID that was signed does not verify', {
      cause: error,
    })
  }
  return token
}
