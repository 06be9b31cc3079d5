import { setMaxListeners } from 'node:events'

/** What ends with a client. As many wait for it as there are requests at a time, which is no leak to be warned of. */
export function createClosing(): AbortController {
  const controller = new AbortController()
  setMaxListeners(0, controller.signal)
  return controller
}
