// Loaded before Prisma's CLI. Its engine guards the advisory lock with a timer of 10 s that it never clears, and
// Node would wait for it after the work is done. A timer without a reference is not waited for.
const { setTimeout: original } = globalThis
globalThis.setTimeout = (callback, delay, ...rest) => {
  const timer = original(callback, delay, ...rest)
  return delay >= 5000 ? timer.unref() : timer
}
