/** Every action, grouped by noun. */
import { type SessionActionParts, createSessionActions } from './sessions/sessions.ts'

export type ActionParts = SessionActionParts

export function createActions(parts: ActionParts) {
  return {
    sessions: createSessionActions(parts),
  }
}

export type Actions = ReturnType<typeof createActions>
