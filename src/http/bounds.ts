/** Bounds in requests. */
import type { WrittenBound } from '../actions/operators/state.ts'
import { refuse } from '../errors.ts'
import { type BoundDefinition, boundFaults, readBound } from '../names/bound.ts'

/** The limit in openapi.yaml. */
const maxErrors = 20

/** @throws Refusal `impossible` */
export function boundIn({ bound }: { bound?: BoundDefinition | 'everything' }): { bound?: WrittenBound } {
  if (bound === undefined || bound === 'everything') return { ...(bound && { bound }) }
  const faults = boundFaults(bound)
  if (faults.length === 0) return { bound: readBound(bound) }
  const errors = faults.map(({ member, index, detail }) => ({
    pointer: `/bound/${member}${index === undefined ? '' : `/${index}`}`,
    detail,
  }))
  throw refuse('impossible', { errors: errors.slice(0, maxErrors) })
}
