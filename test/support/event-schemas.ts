/** Validates server-sent events against their schemas in `openapi.yaml`, and refuses unlisted members. */
import { createCompiler } from '../../src/http/openapi-compile.ts'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { problemsOf } from '../../src/http/openapi-problems.ts'
import { inline, isNode, nodes } from '../../src/http/openapi-schemas.ts'
import type { Node } from '../../src/http/openapi-schemas.ts'
import { close } from './replies.ts'

const at = (value: unknown, ...steps: string[]): Node =>
  steps.reduce<Node>((from, step) => (isNode(from[step]) ? from[step] : {}), isNode(value) ? value : {})

/** JSON Schema leaves `contentSchema` to the reader of the string, so data is decoded and validated here. */
export function eventSchemas() {
  const media = at(inline(loadOpenApi().written), 'paths', '/api/v1/watch', 'get', 'responses', '200', 'content')
  const eventSchema = at(media, 'text/event-stream', 'schema', 'contentSchema', 'items')
  const compile = createCompiler()
  const check = compile(close(eventSchema))
  const dataChecks = new Map(
    nodes(eventSchema['oneOf']).map((form) => [
      at(form, 'properties', 'event')['const'],
      compile(close(at(form, 'properties', 'data', 'contentSchema'))),
    ]),
  )
  return {
    /** The faults in the fields of one event; empty when they are valid. */
    faultsOf(event: Readonly<Record<string, string>>) {
      const faults = problemsOf(check(event))
      if (faults.length > 0) return faults
      const checkData = dataChecks.get(event['event'])
      if (!checkData) throw new Error(`openapi.yaml has no schema for the data of ${String(event['event'])}`)
      const data: unknown = parsed(event['data'])
      return data === undefined ? [{ pointer: '/data', detail: 'is no JSON' }] : problemsOf(checkData(data), '/data')
    },
  }
}

function parsed(text: string | undefined): unknown {
  try {
    return JSON.parse(text ?? '')
  } catch {
    return undefined
  }
}
