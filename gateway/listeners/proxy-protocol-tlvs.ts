// The type-length-value vectors behind the addresses of a PROXY protocol v2 header (proxy-protocol.txt §2.2.1 to
// §2.2.8). Two of them mean something here: the checksum, and AWS's VPC endpoint. All others are skipped, whatever they
// claim: ztunnel's 0xD0 is a SPIFFE ID that nobody has proven, and the TLS facts of 0x20 are the balancer's, not ours.
import { ByteReader } from './byte-reader.ts'
import { crc32c } from './crc32c.ts'
import { ProxyHeaderFault } from './proxy-protocol-error.ts'

const TYPE_CRC32C = 0x03
const CRC32C_BYTES = 4
/** https://docs.aws.amazon.com/elasticloadbalancing/latest/network/load-balancer-target-groups.html#proxy-protocol */
const TYPE_AWS = 0xea
const SUBTYPE_AWS_VPCE_ID = 0x01

/**
 * AWS's API pages give `^vpce-[0-9a-f]{17}$` (DataSync) and `^vpce-[0-9a-f]{1,64}$` (CloudWatch Logs), and old IDs have 8
 * digits. The widest is taken: an ID is only ever compared with those in the configuration, and nothing in this alphabet
 * could disturb a record or a policy.
 */
const VPC_ENDPOINT = /^vpce-[0-9a-f]{1,64}$/

export interface ProxyTlvs {
  readonly vpcEndpoint: string | null
}

/** Reads `header`, all of it, from `offset`, where the first TLV stands. @throws ProxyHeaderFault, CutShortError */
export function readTlvs(header: Uint8Array, offset: number): ProxyTlvs {
  const reader = new ByteReader(header)
  reader.take(offset)
  let vpcEndpoint: string | null = null
  let checked = false
  while (reader.left > 0) {
    const type = reader.uint8()
    const value = reader.vector16()
    if (type === TYPE_CRC32C) {
      if (checked) throw new ProxyHeaderFault('crc32c-twice', 'two checksums')
      checkCrc32c(header, reader.offset - value.length, value)
      checked = true
    } else if (type === TYPE_AWS) {
      const found = readVpcEndpoint(value)
      if (found !== null && vpcEndpoint !== null) {
        throw new ProxyHeaderFault('vpc-endpoint-twice', 'two VPC endpoints')
      }
      vpcEndpoint ??= found
    }
  }
  return { vpcEndpoint }
}

/** Over the whole header with the checksum's own four bytes as zeros (§2.2.3); `at` is where they stand. */
function checkCrc32c(header: Uint8Array, at: number, value: Uint8Array): void {
  if (value.length !== CRC32C_BYTES) throw new ProxyHeaderFault('crc32c-length', 'a checksum is four bytes')
  const before = crc32c(header.subarray(0, at))
  const zeroed = crc32c(new Uint8Array(CRC32C_BYTES), before)
  if (crc32c(header.subarray(at + CRC32C_BYTES), zeroed) !== new ByteReader(value).uint32()) {
    throw new ProxyHeaderFault('crc32c-mismatch', 'the checksum is not that of the header')
  }
}

/** Null for a subtype that says something else. */
function readVpcEndpoint(value: Uint8Array): string | null {
  const reader = new ByteReader(value)
  if (reader.uint8() !== SUBTYPE_AWS_VPCE_ID) return null
  const text = Buffer.from(reader.take(reader.left)).toString('latin1')
  if (!VPC_ENDPOINT.test(text)) {
    throw new ProxyHeaderFault(
      'vpc-endpoint-malformed',
      'the VPC endpoint is not vpce- and hexadecimal digits',
    )
  }
  return text
}
