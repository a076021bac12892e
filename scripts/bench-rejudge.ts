// `npm run bench:rejudge`: what judging live sessions again costs. First judging by itself, with all that is kept of a
// session and no socket, then gateways as processes of their own, with open tunnels. It asserts nothing.
import { measureJudging } from './rejudge/judging.ts'
import { measureLive } from './rejudge/live.ts'

await measureJudging({ sessions: 10_000, workloads: 200, policies: 100 })
await measureJudging({ sessions: 2_000, workloads: 2_000, policies: 1_000 })
await measureJudging({ sessions: 10_000, workloads: 2_000, policies: 1_000 })
for (const apart of [true, false]) {
  await measureLive({ workloads: 20, destinations: 100, sessionsEach: 1, policies: 1_000, apart })
  await measureLive({ workloads: 100, destinations: 20, sessionsEach: 5, policies: 100, apart })
}
