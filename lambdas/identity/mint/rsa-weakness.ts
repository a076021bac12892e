// RSA moduli that look long enough and can still be factored: those of the broken Infineon library (ROCA,
// CVE-2017-15361), those with a small factor, and those whose two primes are close together (Fermat).

/** The primes by which the fingerprint of ROCA is known: there the modulus is a power of 65537. */
const ROCA_PRIMES = [11, 13, 17, 19, 37, 53, 61, 71, 73, 79, 97, 103, 107, 109, 127, 151, 157]
const SMALL_PRIME_LIMIT = 752
const FERMAT_ROUNDS = 100

function powersOf65537(prime: number): ReadonlySet<number> {
  const powers = new Set<number>()
  for (let power = 1; !powers.has(power); power = (power * 65537) % prime) powers.add(power)
  return powers
}

function smallPrimes(): readonly bigint[] {
  const primes: number[] = []
  for (let candidate = 2; candidate < SMALL_PRIME_LIMIT; candidate++) {
    if (primes.every((prime) => candidate % prime !== 0)) primes.push(candidate)
  }
  return primes.map(BigInt)
}

/** Made for the first RSA key: most workloads have none, and a cold start need not wait for them. */
function makeTables() {
  return {
    roca: ROCA_PRIMES.map((prime) => [BigInt(prime), powersOf65537(prime)] as const),
    small: smallPrimes(),
  }
}

let tables: ReturnType<typeof makeTables> | null = null

/** The integer square root, by Newton's method from above. */
function squareRoot(value: bigint): bigint {
  let root = 1n << BigInt(Math.ceil(value.toString(2).length / 2))
  for (;;) {
    const next = (root + value / root) >> 1n
    if (next >= root) return root
    root = next
  }
}

function hasClosePrimes(modulus: bigint): boolean {
  let a = squareRoot(modulus)
  if (a * a < modulus) a += 1n
  for (let round = 0; round < FERMAT_ROUNDS; round++, a += 1n) {
    const square = a * a - modulus
    const root = squareRoot(square === 0n ? 1n : square)
    if (square === 0n || root * root === square) return true
  }
  return false
}

/** Why a modulus is weak, or null. Checks of a millisecond or two, not a proof of strength. */
export function findRsaWeakness(modulus: bigint): string | null {
  tables ??= makeTables()
  if (tables.small.some((prime) => modulus % prime === 0n)) return 'the RSA modulus has a small factor'
  if (tables.roca.every(([prime, powers]) => powers.has(Number(modulus % prime)))) {
    return 'the RSA key was made by a broken library (ROCA)'
  }
  return hasClosePrimes(modulus) ? 'the primes of the RSA key are too close together' : null
}
