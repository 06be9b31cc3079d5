import { setMaxListeners } from 'node:events'

/** A controller for the end of a client. Each pending request listens to its signal, which is no leak to warn about. */
export function createClosing(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}
