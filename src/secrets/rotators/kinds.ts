/** Every kind of rotator, one line each. */
import { generated } from './generated.ts'
import type { Rotator, Rotators } from './rotator.ts'
import { type WebhookParts, webhook } from './webhook.ts'

export type RotatorParts = WebhookParts

export function createRotators(parts: RotatorParts): Rotators {
  const all: Rotator[] = [generated(parts), webhook(parts)]
  return new Map(all.map((one) => [one.kind, one]))
}
