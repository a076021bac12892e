// IPv4 addresses that an IPv6 address carries inside, by the forms that translators and tunnels use. Whoever dials such an
// address reaches the one inside wherever there is such a translator, so both are judged (address-class.ts).
import ipaddr from 'ipaddr.js'

/** Every address that it may stand for; empty for an ordinary one. IPv4-mapped addresses are none by now. */
export function embeddedAddresses(address: ipaddr.IPv6): readonly ipaddr.IPv4[] {
  const octets = address.toByteArray()
  const at = (from: number): ipaddr.IPv4 => new ipaddr.IPv4(octets.slice(from, from + 4))
  const [p0, p1, p2, p3, p4, p5, p6 = 0, p7 = 0] = address.parts
  if (p0 === 0x64 && p1 === 0xff9b) {
    // RFC 6052 §2.1, and the local-use prefix of RFC 8215, which may be cut at any length of §2.2.
    if (p2 === 0 && p3 === 0 && p4 === 0 && p5 === 0) return [at(12)]
    if (p2 === 1) return localTranslations(octets)
  }
  // 6to4 (RFC 3056 §2).
  if (p0 === 0x2002) return [at(2)]
  // Teredo (RFC 4380 §4): the server, and the client with every bit flipped.
  if (p0 === 0x2001 && p1 === 0) return [flipped(octets.slice(12)), at(4)]
  if (p0 === 0 && p1 === 0 && p2 === 0 && p3 === 0) {
    // IPv4-translated, ::ffff:0:a.b.c.d (RFC 2765 §2.1).
    if (p4 === 0xffff && p5 === 0) return [at(12)]
    // IPv4-compatible, ::a.b.c.d (RFC 4291 §2.5.5.1); :: and ::1 are addresses of their own.
    if (p4 === 0 && p5 === 0 && (p6 !== 0 || p7 > 1)) return [at(12)]
  }
  // ISATAP (RFC 5214 §6.1): ::0:5efe:a.b.c.d or ::200:5efe:a.b.c.d under any prefix.
  if (p5 === 0x5efe && (p4 === 0 || p4 === 0x200)) return [at(12)]
  return []
}

/** Where the IPv4 address's octets stand by the length of the prefix; octet 8 is zero and jumped over (RFC 6052 §2.2). */
const LAYOUTS: Readonly<Record<number, readonly [number, number, number, number]>> = {
  48: [6, 7, 9, 10],
  56: [7, 9, 10, 11],
  64: [9, 10, 11, 12],
  96: [12, 13, 14, 15],
}

/**
 * How long the operator's prefix is nobody can see, so every layout counts that the address fits, which is where nothing
 * stands behind the IPv4 address. 0.0.0.0/8, where no translator delivers, is only what one layout looks like in another.
 */
function localTranslations(octets: readonly number[]): readonly ipaddr.IPv4[] {
  const found = Object.values(LAYOUTS)
    .filter((layout) => octets.slice(layout[3] + 1).every((octet) => octet === 0))
    .filter((layout) => layout[3] === 15 || octets[8] === 0)
    .map((layout) => layout.map((index) => octets[index] ?? 0))
  const some = found.filter(([first]) => first !== 0)
  return (some.length > 0 ? some : [[0, 0, 0, 0]]).map((inside) => new ipaddr.IPv4(inside))
}

function flipped(octets: readonly number[]): ipaddr.IPv4 {
  return new ipaddr.IPv4(octets.map((octet) => octet ^ 0xff))
}
