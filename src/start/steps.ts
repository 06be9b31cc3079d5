/** The steps of a start, so that a start that fails says in which of them. */
type Step =
  'store' | 'snapshot' | 'keys' | 'log' | 'secrets' | 'attestors' | 'routes' | 'certificate' | 'listeners' | 'jobs'

export type Steps = ReturnType<typeof createSteps>

export function createSteps() {
  let current: Step = 'store'
  return {
    /** Begins a step; the one before is done. */
    begin: (step: Step) => void (current = step),
    current: () => current,
  }
}
