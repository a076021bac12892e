// GET /v1/openapi.json. The description, and what makes a JSON schema of ours, are loaded when somebody asks: no cold start
// pays for them.
import type { Context } from 'hono'
import type { IdentityEnv } from '../app-env.ts'
import type { IdentityAppOptions } from '../options.ts'

export function createOpenApiRoute({ config }: Pick<IdentityAppOptions, 'config'>) {
  let document: string | null = null
  return async function getOpenApi(context: Context<IdentityEnv>): Promise<Response> {
    const { describeApi } = await import('./openapi-document.ts')
    document ??= JSON.stringify(describeApi(config.issuer))
    return context.body(document, 200, { 'content-type': 'application/json', 'cache-control': 'max-age=300' })
  }
}
