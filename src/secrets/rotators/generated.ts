/** Generated values that work without a target. */
import { type FieldSpecs, checkFields, generateData } from '../generate.ts'
import type { Rotator, RotatorConfig } from './rotator.ts'

/** The schema of openapi.yaml validates the shape. */
const hasFields = (config: RotatorConfig): config is RotatorConfig & { fields: FieldSpecs } => 'fields' in config

export const generated = ({ randomBytes }: { randomBytes: (size: number) => Buffer }): Rotator => ({
  kind: 'generated',
  effects: false,
  check: (config) => (hasFields(config) ? checkFields(config.fields, '/fields') : []),
  next: ({ config, ...live }) => generateData(hasFields(config) ? config.fields : {}, live, randomBytes),
})
