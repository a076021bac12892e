// In the Lambda bundle in place of @aws-sdk/credential-provider-node: the SDK's search for credentials (SSO, STS, files,
// processes, instances). Lambda's credentials are in its environment and are given to the clients (aws-clients.ts), so
// nobody asks here; who does is told, and finds no other credentials.

export function defaultProvider(): () => Promise<never> {
  return async () => {
    throw new Error('on Lambda credentials come from the environment alone')
  }
}
