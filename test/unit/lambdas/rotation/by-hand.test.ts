// A rotation that an operator asks for by a tag of the secret: done once, whatever dies in between.
import { describe, expect, test } from 'vitest'
import { parseRequest, REQUEST_TAG } from '../../../../lambdas/rotation/request.ts'
import { createSecret, finishSecret, setSecret, testSecret } from '../../../../lambdas/rotation/steps.ts'
import { DAY, HOUR, MINUTE, setUp } from './support.ts'

async function born() {
  const ca = setUp()
  await ca.rotate()
  ca.clock.advance(HOUR)
  return { ...ca, ask: (value: string) => ca.store.tags.set(REQUEST_TAG, value) }
}

describe('a tag', () => {
  test.each<[string, object | null]>([
    ['root 1', { word: '1', wanted: { issuing: false, root: true, jwt: false } }],
    ['  issuing   jwt 2026-11-24T10:00 ', { word: '2026-11-24T10:00', wanted: { issuing: true, jwt: true } }],
    ['root jwt issuing x@y', { wanted: { issuing: true, root: true, jwt: true } }],
    ['', null],
    ['root', null],
    ['root jwt', null],
    ['2026-11-24', null],
    ['roots 2026-11-24', null],
    ['root,jwt 2026-11-24', null],
    ['root 2026-11-24!', null],
    [`root ${'x'.repeat(65)}`, null],
  ])('of %j', (value, request) => {
    const found = parseRequest(value)
    if (request === null) expect(found).toBeNull()
    else expect(found).toMatchObject(request)
  })
})

describe('what the tag asks for', () => {
  test.each<[string, object]>([
    ['issuing w1', { sequence: 1, roots: [{}], jwtKeys: [{}] }],
    ['root w1', { sequence: 2, roots: [{}, {}], jwtKeys: [{}] }],
    ['jwt w1', { sequence: 2, roots: [{}], jwtKeys: [{}, {}] }],
    ['issuing root jwt w1', { sequence: 2, roots: [{}, {}], jwtKeys: [{}, {}] }],
  ])('%s', async (value, expected) => {
    const { rotate, document, ask, events } = await born()
    const { issuing } = document()
    ask(value)
    await rotate()
    expect(document()).toMatchObject({ ...expected, lastRequest: 'w1' })
    expect(document().issuing.chain === issuing.chain).toBe(!value.includes('issuing'))
    expect(events('rotation.requested')).toMatchObject([{ request: value }])
  })
})

test('the same tag the next day, and a new one for the same, do what they say', async () => {
  const { clock, rotate, document, ask, events } = await born()
  ask('root w1')
  await rotate()
  expect(document().roots).toHaveLength(2)
  for (let day = 0; day < 3; day++) {
    clock.advance(DAY)
    await rotate()
  }
  expect(document()).toMatchObject({ lastRequest: 'w1', sequence: 2 })
  ask('root w2')
  await rotate()
  expect(document()).toMatchObject({ lastRequest: 'w2', sequence: 3, roots: [{}, {}, {}] })
  expect(events('rotation.requested')).toHaveLength(2)
})

test('a request that cannot be done is said once, and is not tried again by itself', async () => {
  const { clock, rotate, document, ask, events } = await born()
  ask('root w1')
  await rotate()
  clock.advance(MINUTE)
  ask('root w2')
  await rotate()
  expect(events('rotation.blocked')).toMatchObject([{ code: 'successor-waits' }])
  clock.advance(DAY)
  await rotate()
  expect(document()).toMatchObject({ lastRequest: 'w2', sequence: 2 })
})

test.each([1, 2, 3, 4])('killed after %i steps, it is done once by the next try', async (done) => {
  const { store, rotate, document, ask, options } = await born()
  ask('root jwt w1')
  const token = store.beginRotation()
  for (const step of [createSecret, setSecret, testSecret, finishSecret].slice(0, done)) {
    await step(options(token))
  }
  // What the tag says by then is for the next rotation: this one has its document.
  ask('root jwt w1')
  await rotate(token)
  expect(document()).toMatchObject({ sequence: 2, lastRequest: 'w1', roots: [{}, {}], jwtKeys: [{}, {}] })
})

test('a rotation that was given up leaves the request to the next one', async () => {
  const { clock, store, rotate, document, ask, options } = await born()
  ask('jwt w1')
  const token = store.beginRotation()
  await createSecret(options(token))
  clock.advance(10 * MINUTE)
  await expect(finishSecret(options(token))).rejects.toMatchObject({ code: 'rotation-too-late' })
  expect(document()).not.toHaveProperty('lastRequest')
  await rotate()
  expect(document()).toMatchObject({ lastRequest: 'w1', jwtKeys: [{}, {}] })
})

test('a tag that nobody understands is an error in the log, and what is due is done', async () => {
  const { clock, rotate, document, ask, events } = await born()
  ask('rotate everything!')
  clock.advance(DAY)
  await rotate()
  expect(events('rotation.request-malformed')).toMatchObject([{ level: 'error' }])
  expect(Date.parse(document().issuing.notAfter) - clock.now().getTime()).toBe(7 * DAY)
})

test('a tag that is there before birth asks for nothing more after it', async () => {
  const { clock, store, rotate, document } = setUp()
  store.tags.set(REQUEST_TAG, 'root w0')
  await rotate()
  clock.advance(DAY)
  await rotate()
  expect(document()).toMatchObject({ sequence: 1, lastRequest: 'w0', roots: [{}] })
})
