import type { Change, Recorded, Release } from '../audit/record.ts'
import type { Reply } from './request.ts'

/** Replaces the result of an action by the reply that shows it. Entry and effects stay as they are. */
export function rendered<T>(decided: Change<T>, view: (result: T) => Reply): Change<Reply>
export function rendered<T>(decided: Release<T>, view: (result: T) => Reply): Release<Reply>
export function rendered<T>(recorded: Recorded<T>, view: (result: T) => Reply): Recorded<Reply>
export function rendered<T>(outcome: Change<T> | Release<T> | Recorded<T>, view: (result: T) => Reply) {
  return { ...outcome, result: view(outcome.result) }
}

/** The status of a PUT: 201 if it created the resource. */
export const createdStatus = ({ revision }: { revision: number }): number => (revision === 1 ? 201 : 200)
