// What a caller sends, before anything of it is believed: its size while it comes, and how many proofs it holds.
import { describe, expect, test } from 'vitest'
import { MAX_BODY_BYTES } from '../../../../lambdas/identity/request.ts'
import { createCsr, createTestAuthority, type TestAuthority } from './support.ts'

/** A request whose body has no length: it comes in parts, as many as are asked for. */
async function sendParts(authority: TestAuthority, parts: () => Uint8Array | null): Promise<Response> {
  const body = new ReadableStream<Uint8Array>({
    pull(controller) {
      const part = parts()
      if (part === null) controller.close()
      else controller.enqueue(part)
    },
  })
  const init = { method: 'POST', body, duplex: 'half' as const }
  const headers = { 'content-type': 'application/json', authorization: `Bearer ${await authority.token()}` }
  return authority.app.fetch(new Request('https://identity.example.org/v1/svid/x509', { ...init, headers }))
}

describe('a body in parts', () => {
  test('attack 28: without an end is read to the cap and no further', async () => {
    const authority = await createTestAuthority()
    let given = 0
    const answer = await sendParts(authority, () => {
      given += 1024
      // Else a server that reads on would never come back.
      return given > 100 * MAX_BODY_BYTES ? null : new Uint8Array(1024).fill(32)
    })
    expect(answer.status).toBe(413)
    expect(await answer.json()).toMatchObject({ code: 'request-too-large' })
    expect(given).toBeLessThanOrEqual(MAX_BODY_BYTES + 4096)
  })

  test('that fits is read as a whole', async () => {
    const authority = await createTestAuthority()
    const bytes = new TextEncoder().encode(JSON.stringify({ csr: await createCsr() }))
    let at = 0
    const answer = await sendParts(authority, () => {
      const part = bytes.subarray(at, at + 100)
      at += 100
      return part.length === 0 ? null : part
    })
    expect(answer.status).toBe(201)
  })

  test('that breaks off is the fault of who sent it', async () => {
    const authority = await createTestAuthority()
    const answer = await sendParts(authority, () => {
      throw new Error('aborted')
    })
    expect(answer.status).toBe(400)
    expect(authority.log.at(-1)).toMatchObject({ code: 'request-malformed', level: 'warn', cause: 'aborted' })
  })
})

test('attack 51: a good token with an AWS proof beside it is no proof, and stays good', async () => {
  const authority = await createTestAuthority()
  const token = await authority.token()
  const csr = await createCsr()
  const aws = {
    ...{ accessKeyId: 'ASIAAAAAAAAAAAAAAAAA', region: 'eu-west-1', date: '20261124T120000Z' },
    signature: 'a'.repeat(64),
  }
  const answer = await authority.post({ csr, aws }, token)
  expect(answer.status).toBe(400)
  expect(await answer.json()).toMatchObject({
    code: 'request-malformed',
    detail: expect.stringContaining('aws'),
  })
  expect(authority.issuances).toEqual([])
  expect((await authority.post({ csr: await createCsr() }, token)).status).toBe(201)
})
