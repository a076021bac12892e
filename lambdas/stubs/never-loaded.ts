// In the Lambda bundle in place of modules that the SDK loads for what the authority never does: event streams, and the
// user agents of browsers. Who loads it after all fails here and not somewhere later.
throw new Error('this part of the AWS SDK is not in the bundle')
