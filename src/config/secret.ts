/** A value that can't be printed by accident: only `reveal` tells it. It can't be cloned into another thread either. */
export type Secret = { reveal(): string; toString(): string; toJSON(): string }

/** @param shown what logs, JSON and the debugger see instead */
export function secret(value: string, shown = '(secret)'): Secret {
  const say = () => shown
  return Object.freeze({
    reveal: () => value,
    toString: say,
    toJSON: say,
    [Symbol.for('nodejs.util.inspect.custom')]: say,
  })
}
