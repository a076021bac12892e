// A Linkerd leaf, whose name is a DNS name: the same rules as for an SVID but for the name, a chain to Linkerd's own trust
// anchors alone, and the workload that the map makes of the name.
import type { X509Certificate } from 'node:crypto'
import { readCertificate } from '../../spiffe/certificate.ts'
import { buildChain } from '../../spiffe/chain.ts'
import type { SpiffeId } from '../../spiffe/id.ts'
import { checkLeafForm, CLIENT_AUTH, SvidError } from '../../spiffe/x509-svid.ts'
import type { LinkerdTrust } from '../config/types.ts'
import { linkerdIdentity } from './linkerd-identity.ts'

/** The name is none that the map knows. */
export class LinkerdNameError extends Error {
  readonly code: 'client-name-unmapped'

  constructor(message: string) {
    super(message)
    this.code = 'client-name-unmapped'
  }
}

const MESSAGES = {
  'no-name': 'the certificate has no DNS name',
  'several-names': 'the certificate has several DNS names',
  'has-uri': 'the certificate has a URI name',
  unmapped: 'no entry of the map matches the DNS name of the certificate',
} as const

export interface LinkerdLeaf {
  readonly leaf: X509Certificate
  readonly intermediates: readonly X509Certificate[]
  readonly trust: LinkerdTrust
  /** Of the IDs that are let in here, whatever else the map could make of a name. */
  readonly trustDomains: readonly string[]
  readonly now: Date
}

/** @throws SvidError, LinkerdNameError */
export function verifyLinkerdLeaf({ leaf, intermediates, trust, trustDomains, now }: LinkerdLeaf): {
  readonly id: SpiffeId
  readonly chain: readonly X509Certificate[]
} {
  const leafFacts = readCertificate(leaf)
  checkLeafForm(leaf, leafFacts)
  const named = linkerdIdentity(leafFacts, trust.map)
  if (!named.ok) throw new LinkerdNameError(MESSAGES[named.code])
  const { id } = named
  if (!trustDomains.includes(id.trustDomain)) {
    throw new SvidError('trust-domain-unknown', `IDs of ${id.trustDomain} are not let in here`)
  }
  const bundle = {
    trustDomain: id.trustDomain,
    x509Authorities: trust.anchors,
    jwtAuthorities: [],
    sequence: null,
    refreshHintSeconds: null,
  }
  const chain = buildChain({ leaf, leafFacts, id, intermediates, bundle, now, purposeOid: CLIENT_AUTH })
  if (now < leaf.validFromDate) throw new SvidError('not-yet-valid', 'the certificate is not valid yet')
  if (now > leaf.validToDate) throw new SvidError('expired', 'the certificate has expired')
  return { id, chain }
}
