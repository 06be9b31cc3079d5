/** A value that cannot be printed by accident: only `reveal` returns it. It cannot be cloned into another thread. */
export type Secret = { reveal(): string; toString(): string; toJSON(): string }

/** @param mask the text in logs, JSON and the debugger */
export function secret(value: string, mask = '(secret)'): Secret {
  const masked = () => mask
  return Object.freeze({
    reveal: () => value,
    toString: masked,
    toJSON: masked,
    [Symbol.for('nodejs.util.inspect.custom')]: masked,
  })
}
