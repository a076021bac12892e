// The last line of .ci/run: sums vitest's JSON reports. Plain JavaScript, for whatever Node is there. A report that is
// missing, a file that did not load and a part that failed each count as one failure: nothing may vanish from the sum.
import { readFileSync } from 'node:fs'

const [failedParts, ...reports] = process.argv.slice(2)
let passed = 0
let failed = 0
for (const file of reports) {
  try {
    const report = JSON.parse(readFileSync(file, 'utf8'))
    passed += report.numPassedTests
    failed += report.numFailedTests
    // A file that fails as a whole has no tests to count.
    failed += report.testResults.filter(
      ({ status, assertionResults }) =>
        status === 'failed' && !assertionResults.some((test) => test.status === 'failed'),
    ).length
    if (!report.success && report.numFailedTests === 0 && report.numFailedTestSuites === 0) failed += 1
  } catch (error) {
    process.stdout.write(`no report ${file}: ${error.message}\n`)
    failed += 1
  }
}
// A failed part whose tests did fail is in the sum already.
if (failed === 0) failed = Number(failedParts)
process.stdout.write(`${passed} passed, ${failed} failed\n`)
process.exitCode = failed === 0 && Number(failedParts) === 0 ? 0 : 1
