/** The server-sent events of one stream, in memory until the client reads them. */
import type { PurserError } from '../errors.ts'

export type EventQueue = ReturnType<typeof createEventQueue>

export function createEventQueue() {
  const chunks: Uint8Array[] = []
  const endListeners: (() => void)[] = []
  let isOver = false
  let failure: PurserError | undefined
  let wake: () => void = () => undefined

  /** @param error what reading throws, as when a connection breaks */
  function end(error?: PurserError): void {
    if (isOver) return
    isOver = true
    failure = error
    for (const listener of endListeners) listener()
    wake()
  }

  async function* read(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const next = chunks.shift()
        if (next) yield next
        else if (failure) throw failure
        else if (isOver) return
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      end()
    }
  }

  return {
    event(name: string, data: object, id?: string): void {
      const text = `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
      chunks.push(Buffer.from(text))
      wake()
    },
    end,
    onEnd: (listener: () => void) => void endListeners.push(listener),
    chunks: read(),
  }
}
