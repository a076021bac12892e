// Loaded into a gateway before it starts (`node --import`): at each SIGUSR2 it says on standard error for how long the event
// loop was held at most, and how much CPU was used, since the one before. By CPU time of the thread beside the clock's: on a
// busy machine the clock counts others' work too. And how much CPU the process had used at which moment, for whoever wants
// to know what a part of that time cost.
import { monitorEventLoopDelay } from 'node:perf_hooks'

const TICK_MS = 2
/** Between two entries of `used`. */
const STEP_MS = 25

const delay = monitorEventLoopDelay({ resolution: 1 })
delay.enable()
let before = process.cpuUsage()
let tick = process.threadCpuUsage()
let heldMs = 0
let used: (readonly [at: number, cpuMs: number])[] = []

const cpuMs = () => {
  const { user, system } = process.cpuUsage(before)
  return Math.round((user + system) / 1000)
}

setInterval(() => {
  if (Date.now() >= (used.at(-1)?.[0] ?? 0) + STEP_MS) used.push([Date.now(), cpuMs()])
  const { user, system } = process.threadCpuUsage(tick)
  heldMs = Math.max(heldMs, (user + system) / 1000)
  tick = process.threadCpuUsage()
}, TICK_MS).unref()

process.on('SIGUSR2', () => {
  const said = { longestMs: delay.max / 1e6, heldCpuMs: heldMs, cpuMs: cpuMs(), used }
  process.stderr.write(`${JSON.stringify({ loopWatch: said })}\n`)
  delay.reset()
  heldMs = 0
  tick = process.threadCpuUsage()
  used = []
  before = process.cpuUsage()
})
