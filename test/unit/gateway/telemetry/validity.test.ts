// The age of roots is that of the roots in force, not of the process nor of the SVID beside them.
import { expect, test } from 'vitest'
import { type Bundle, readBundle } from '../../../../spiffe/bundle.ts'
import type { TrustMaterial } from '../../../../gateway/config/types.ts'
import type { Validity } from '../../../../gateway/telemetry/sampled.ts'
import { sampleBundles } from '../../../../gateway/telemetry/validity.ts'
import type { TrustStore } from '../../../../gateway/trust-store.ts'
import { createRoot } from '../../../fixtures/pki.ts'

test('roots that come again as they were grow on, and those that changed begin anew', async () => {
  const [kept, old, next] = await Promise.all(
    ['kept', 'old', 'next'].map(async (name) => (await createRoot({ name })).pem),
  )
  let bundles: ReadonlyMap<string, Bundle> = new Map()
  let onChange = () => {}
  const set = (pems: Readonly<Record<string, string | undefined>>) => {
    bundles = new Map(Object.entries(pems).map(([name, pem = '']) => [name, readBundle(pem, name)]))
    onChange()
  }
  set({ 'kept.example': kept, 'changed.example': old })
  const trust: Pick<TrustStore, 'current' | 'onChange'> = {
    current: () => ({ bundles }) as TrustMaterial,
    onChange: (listener) => {
      onChange = () => listener({ bundles } as TrustMaterial)
      return () => {}
    },
  }
  let seconds = 0
  let read: () => readonly Validity[] = () => []
  const metrics = { sampleBundles: (given: typeof read) => void (read = given) }
  sampleBundles(metrics, trust, () => new Date(seconds * 1000))
  const ages = () => Object.fromEntries(read().map(({ name, ageSeconds }) => [name, ageSeconds]))
  seconds = 1000
  set({ 'kept.example': kept, 'changed.example': next, 'new.example': old })
  expect(ages()).toEqual({ 'kept.example': 1000, 'changed.example': 0, 'new.example': 0 })
  seconds = 2000
  expect(ages()).toEqual({ 'kept.example': 2000, 'changed.example': 1000, 'new.example': 1000 })
  set({ 'kept.example': kept })
  expect(ages()).toEqual({ 'kept.example': 2000 })
})
