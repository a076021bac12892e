// A real authority in memory behind the client's own `fetch`, on a line that loses answers.
import type {
  AuthorityAnswer,
  AuthorityFetch,
  AuthorityRequest,
} from '../../../../common/authority/request.ts'
import { IdentityFetchError } from '../../../../common/authority/errors.ts'
import {
  createTestAuthority,
  type TestAuthority,
  type TestAuthorityOptions,
} from '../../lambdas/identity/support.ts'

export const URL_OF_AUTHORITY = 'https://identity.example.org'

export interface Line {
  readonly authority: TestAuthority
  readonly fetch: AuthorityFetch
  /** What was sent, `POST /v1/svid/x509` and so on. */
  readonly sent: readonly string[]
  readonly requests: readonly AuthorityRequest[]
  /** So many answers of that route are lost, after the authority did what was asked. */
  lose(route: string, count: number): void
  /** Changes answers on their way. */
  tamper: (route: string, answer: AuthorityAnswer) => AuthorityAnswer
}

export async function createLine(options: TestAuthorityOptions = {}): Promise<Line> {
  const authority = await createTestAuthority(options)
  const requests: AuthorityRequest[] = []
  const lost = new Map<string, number>()
  const line: Line = {
    authority,
    requests,
    get sent() {
      return requests.map(({ method, url }) => `${method} ${new URL(url).pathname}`)
    },
    lose: (route, count) => void lost.set(route, count),
    tamper: (_route, answer) => answer,
    async fetch(request) {
      requests.push(request)
      const { method, headers, body } = request
      const route = new URL(request.url).pathname
      const response = await authority.app.request(route, { method, headers: { ...headers }, body })
      const answer = { status: response.status, body: await response.text() }
      const left = lost.get(route) ?? 0
      lost.set(route, left - 1)
      if (left > 0) throw new IdentityFetchError('authority-unreachable', 'socket hang up')
      return line.tamper(route, answer)
    },
  }
  return line
}
