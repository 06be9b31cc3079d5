/**
 * `/docs`: openapi.yaml as one HTML page, built when it is first requested. The page has no scripts and loads nothing, so its policy allows
 * only its own style, by hash (CSP Level 3 section 2.3.1).
 */
import { createHash } from 'node:crypto'
import { type Node, isNode, nodes, targetOf } from './openapi-schemas.ts'

export type DocsPage = { bytes: Buffer; policy: string }

const style = `
:root { color-scheme: light dark }
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem }
code { font-size: 0.9em }
section { border-top: 1px solid #8886; padding: 0.5rem 0 }
section h3 { margin: 0.5rem 0 0 }
dt { font-weight: 600; float: left; clear: left; width: 8rem }
dd { margin: 0 0 0 8.5rem; min-height: 1.5em }
`

const entities: Record<string, string> = { '&': '&amp;', '<': '&lt;', '>': '&gt;', '"': '&quot;', "'": '&#39;' }
const escaped = (value: unknown): string =>
  (typeof value === 'string' ? value : value === undefined ? '' : JSON.stringify(value)).replaceAll(
    /[&<>"']/g,
    (character) => entities[character] ?? '',
  )

/** Of Markdown, only code in backticks and paragraphs are supported. */
const inText = (value: unknown): string => escaped(value).replaceAll(/`([^`]+)`/g, '<code>$1</code>')
const paragraphs = (value: unknown): string =>
  inText(value)
    .split(/\n\s*\n|\n(?=- )/)
    .filter((text) => text.trim() !== '')
    .map((text) => `<p>${text}</p>\n`)
    .join('')

const object = (value: unknown): Node => (isNode(value) ? value : {})

/** @param document openapi.yaml with its references, whose names the page shows */
export function createDocsPage(document: unknown): DocsPage {
  const { info, tags, paths } = object(document)
  const { title, version, description } = object(info)
  /** The target of a reference, or the value itself. */
  const resolved = (value: unknown): Node => {
    const { $ref: reference } = object(value)
    return object(typeof reference === 'string' ? targetOf(document, reference) : value)
  }

  const operations = Object.entries(object(paths)).flatMap(([path, item]) =>
    ['get', 'post', 'put', 'patch', 'delete']
      .filter((method) => isNode(object(item)[method]))
      .map((method) => {
        const operation = object(object(item)[method])
        const parameters = [...nodes(object(item)['parameters']), ...nodes(operation['parameters'])].map(resolved)
        return { name: `${method.toUpperCase()} ${path}`, operation, parameters }
      }),
  )
  type Described = (typeof operations)[number]

  /** `application/json: Attestor`, for each media type of a body or reply. */
  const contents = (value: unknown): string =>
    Object.entries(object(resolved(value)['content']))
      .map(([type, media]) => `${escaped(type)}${schemaName(object(media)['schema'])}`)
      .join(', ')

  const facts = ({ operation, parameters }: Described): [string, string][] => {
    const { permission, action, limit } = object(operation['x-purser'])
    const parameterList = parameters.map(
      (parameter) => `${inText(`\`${String(parameter['name'])}\``)} (${escaped(parameter['in'])})`,
    )
    const replies = Object.entries(object(operation['responses'])).map(([status, reply]): [string, string] => {
      const body = contents(reply)
      return [status, `${inText(resolved(reply)['description'])}${body && ` (${body})`}`]
    })
    return [
      ['permission', escaped(permission)],
      ['recorded as', escaped(action)],
      ['limit', escaped(limit)],
      ...(parameterList.length > 0 ? [['parameters', parameterList.join(', ')] as [string, string]] : []),
      ...('requestBody' in operation ? [['body', contents(operation['requestBody'])] as [string, string]] : []),
      ...replies,
    ]
  }

  const section = (described: Described): string => {
    const { operationId, summary, description } = described.operation
    const list = facts(described).map(([name, text]) => `<dt>${escaped(name)}</dt><dd>${text}</dd>\n`)
    return `<section id="${escaped(operationId)}">
<h3><code>${escaped(described.name)}</code></h3>
<p>${inText(summary)}</p>
${paragraphs(description)}<dl>
${list.join('')}</dl>
</section>
`
  }

  const groups = nodes(tags).map((tag) => {
    const tagged = operations.filter(({ operation }) => [operation['tags']].flat().includes(tag['name']))
    const head = `<h2 id="${escaped(tag['name'])}">${escaped(tag['name'])}</h2>\n<p>${inText(tag['description'])}</p>\n`
    const links = tagged.map(
      ({ name, operation }) =>
        `<li><a href="#${escaped(operation['operationId'])}"><code>${escaped(name)}</code></a></li>\n`,
    )
    return `${head}<ul>\n${links.join('')}</ul>\n${tagged.map(section).join('')}`
  })

  const html = `<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<title>${escaped(title)} ${escaped(version)}</title>
<style>${style}</style>
<h1>${escaped(title)} ${escaped(version)}</h1>
${paragraphs(description)}<p>In full, with every schema: <a href="/openapi.yaml">openapi.yaml</a>.</p>
${groups.join('')}</html>
`
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = `default-src 'none'; style-src 'sha256-${hash}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`
  return { bytes: Buffer.from(html), policy }
}

/** The name of a referenced schema, or the type of an inline one. */
function schemaName(schema: unknown): string {
  const { $ref: reference, type } = object(schema)
  if (typeof reference === 'string') return `: <code>${escaped(reference.slice(reference.lastIndexOf('/') + 1))}</code>`
  return type === undefined ? '' : `: ${escaped(type)}`
}
