/** The kinds of rotators, one line each. */
import { generated } from './generated.ts'
import { type PostgresRotatorParts, postgres } from './postgres.ts'
import type { Rotator, Rotators } from './rotator.ts'
import { type WebhookParts, webhook } from './webhook.ts'

export type RotatorParts = WebhookParts & PostgresRotatorParts

export function createRotators(parts: RotatorParts): Rotators {
  const all: Rotator[] = [generated(parts), webhook(parts), postgres(parts)]
  return new Map(all.map((rotator) => [rotator.kind, rotator]))
}
