// An event of API Gateway's REST API (payload 1.0), as a private API with a stage makes it of a request. Format: "Input format
// of a Lambda function for proxy integration" in the API Gateway developer guide.
import type { ApiRequest } from './http-api.ts'

/** @param request its path without the stage */
export function restApiEvent(request: ApiRequest, stage: string): Record<string, unknown> {
  const [at = '/'] = request.path.split('?')
  const host = 'abc123-vpce-0123.execute-api.eu-west-1.amazonaws.com'
  const headers = { Host: host, ...request.headers }
  return {
    resource: '/{proxy+}',
    path: at,
    httpMethod: request.method,
    headers,
    multiValueHeaders: Object.fromEntries(
      Object.entries(headers).map(([name, value]) => [name, [value].flat()]),
    ),
    queryStringParameters: null,
    multiValueQueryStringParameters: null,
    pathParameters: { proxy: at.slice(1) },
    stageVariables: null,
    requestContext: {
      resourcePath: '/{proxy+}',
      httpMethod: request.method,
      path: `/${stage}${at}`,
      stage,
      domainName: host,
      identity: { sourceIp: '10.64.0.9', vpceId: 'vpce-0123', vpcId: 'vpc-0123' },
      requestId: 'c6af9ac6-7b61-11e6-9a41-93e8deadbeef',
      apiId: 'abc123',
    },
    body: request.body === undefined ? null : String(request.body),
    isBase64Encoded: false,
  }
}
