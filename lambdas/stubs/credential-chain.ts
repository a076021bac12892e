// In the Lambda bundles in place of @aws-sdk/credential-provider-node, which looks for credentials in files, processes, SSO
// and instances, and is a tenth of the code. Lambda puts a function's credentials into its environment and nowhere else
// (Lambda Developer Guide, "Defined runtime environment variables"); new ones come with a new instance.

interface Credentials {
  readonly accessKeyId: string
  readonly secretAccessKey: string
  readonly sessionToken?: string
}

/** Takes the place of the SDK's function of this name. */
export function defaultProvider(): () => Promise<Credentials> {
  return async () => {
    const { AWS_ACCESS_KEY_ID: id, AWS_SECRET_ACCESS_KEY: key, AWS_SESSION_TOKEN: token } = process.env
    if (id === undefined || key === undefined)
      throw new Error('there are no AWS credentials in the environment')
    return { accessKeyId: id, secretAccessKey: key, ...(token === undefined ? {} : { sessionToken: token }) }
  }
}
