import type { Change, Release } from '../audit/record.ts'
import type { Reply } from './request.ts'

/** What an action decided, with the reply that shows its result. Its entry and effects stay as they are. */
export function rendered<T>(decided: Change<T>, view: (result: T) => Reply): Change<Reply>
export function rendered<T>(decided: Release<T>, view: (result: T) => Reply): Release<Reply>
export function rendered<T>(decided: Change<T> | Release<T>, view: (result: T) => Reply) {
  return { ...decided, result: view(decided.result) }
}
