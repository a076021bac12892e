// An identity from the authority, whole: the SVID, its key and the bundle, believed after they were checked.
import { type X509SvidRequest, requestBundle, requestX509Svid } from '../../common/authority/exchange.ts'
import { type AnswerFacts, readAnswer } from './answer.ts'

export interface FetchX509SvidOptions extends X509SvidRequest {
  /** What the SVID must be in. */
  readonly trustDomain: string
  readonly clock?: () => Date
}

export interface FetchedSvid extends AnswerFacts {
  /** PKCS #8 PEM. */
  readonly keyPem: string
}

/**
 * Exchanges a proof for an X.509-SVID of a P-256 key: a new one, unless the same token was shown for another before.
 * @throws IdentityFetchError
 */
export async function fetchX509Svid(options: FetchX509SvidOptions): Promise<FetchedSvid> {
  const { key, body } = await requestX509Svid({ audienceHint: 'see --audience', ...options })
  const facts = readAnswer({
    issued: body,
    bundle: await requestBundle(options),
    key: key.pem,
    trustDomain: options.trustDomain,
    now: options.clock?.() ?? new Date(),
  })
  return { ...facts, keyPem: key.pem.reveal() }
}
