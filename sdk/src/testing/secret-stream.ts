/** Events for one reader, kept until it takes them. */
import { PurserError } from '../errors.ts'

export function heldBack() {
  const chunks: Uint8Array[] = []
  const ends: (() => void)[] = []
  let over = false
  let failure: PurserError | undefined
  let wake: () => void = () => undefined

  function finish(error?: PurserError): void {
    if (over) return
    over = true
    failure = error
    for (const end of ends) end()
    wake()
  }

  async function* all(): AsyncGenerator<Uint8Array> {
    try {
      for (;;) {
        const next = chunks.shift()
        if (next) yield next
        else if (failure) throw failure
        else if (over) return
        else await new Promise<void>((resolve) => (wake = resolve))
      }
    } finally {
      finish()
    }
  }

  return {
    event(name: string, data: object, id?: string): void {
      const text = `event: ${name}\n${id === undefined ? '' : `id: ${id}\n`}data: ${JSON.stringify(data)}\n\n`
      chunks.push(Buffer.from(text))
      wake()
    },
    end: () => finish(),
    /** As a network does. */
    cut: (error: PurserError) => finish(error),
    onEnd: (end: () => void) => void ends.push(end),
    chunks: all(),
  }
}

export const bundleLine = (sequence: number): [string, object] => ['bundle', { sequence }]
