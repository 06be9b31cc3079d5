/** Values that count as soon as they are the secret's: nothing outside has to be told. */
import { type FieldSpecs, checkFields, generateData } from '../generate.ts'
import type { Rotator, RotatorConfig } from './rotator.ts'

/** The API description has judged the shape. */
const hasFields = (config: RotatorConfig): config is RotatorConfig & { fields: FieldSpecs } => 'fields' in config

export const generated = ({ randomBytes }: { randomBytes: (size: number) => Buffer }): Rotator => ({
  kind: 'generated',
  effects: false,
  check: (config) => (hasFields(config) ? checkFields(config.fields, '/fields') : []),
  next: ({ config, ...live }) => generateData(hasFields(config) ? config.fields : {}, live, randomBytes),
})
