/** The schema of a policy test, which no route takes. */
import type { Node } from '../../http/openapi-schemas.ts'

const refTo = (name: string): Node => ({ $ref: `#/components/schemas/${name}` })
const listOf = (name: string): Node => ({ type: 'array', minItems: 1, maxItems: 256, items: refTo(name) })

export const testName: Node = {
  type: 'string',
  minLength: 1,
  maxLength: 200,
  pattern: '^[\\p{L}\\p{M}\\p{N}\\p{P}\\p{S} ]+$',
  description: 'What it shows, in a few words',
  'x-expected': 'printable text',
}

const rights = (description: string): Node => ({
  type: 'object',
  description,
  additionalProperties: false,
  minProperties: 1,
  properties: {
    read: { ...listOf('SecretPath'), description: 'Secrets whose values it reads' },
    list: { ...listOf('SecretPath'), description: 'Secrets that it sees in lists' },
    watch: { ...listOf('SecretPath'), description: 'Secrets whose changes it watches' },
    audiences: { ...listOf('Audience'), description: 'Audiences of its JWTs' },
    dnsNames: { ...listOf('DnsName'), description: 'DNS names of its certificates' },
    databases: { ...listOf('Name'), description: 'Databases in which it gets a role' },
  },
})

export const policyTest: Node = {
  type: 'object',
  additionalProperties: false,
  required: ['expect'],
  oneOf: [{ required: ['attestor', 'selectors'] }, { required: ['tokenFile'] }],
  properties: {
    attestor: refTo('Name'),
    selectors: refTo('Selectors'),
    tokenFile: {
      type: 'string',
      minLength: 1,
      maxLength: 1024,
      description: 'A proof in place of attestor and selectors: a file of the same folder or below it',
    },
    workload: { ...refTo('Name'), description: 'The entry to name, where several match' },
    expect: {
      type: 'object',
      additionalProperties: false,
      minProperties: 1,
      properties: {
        outcome: { type: 'string', enum: ['granted', 'refused'] },
        reason: { ...refTo('Code'), description: 'The code of the refusal' },
        workload: { ...refTo('Name'), description: 'The entry that matches' },
        spiffeId: refTo('SpiffeId'),
        may: rights('Everything here is granted'),
        mayNot: rights('Nothing here is granted'),
      },
    },
  },
}
