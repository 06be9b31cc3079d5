/** Reads the YAML file of nested settings. Scalars keep their text, so that `010` is not silently 8 or 10. */
import { LineCounter, isMap, isNode, isScalar, isSeq, parseDocument } from 'yaml'
import type { Fault } from './error.ts'
import { suggestion } from '../names/suggestion.ts'
import type { Setting, SettingText } from './setting.ts'

/** @returns the texts by dotted path; `<path>File` names a file with the text */
export function readYaml(
  path: string,
  text: string,
  rows: readonly Setting<unknown>[],
  faults: Fault[],
): Map<string, SettingText> {
  const lines = new LineCounter()
  const document = parseDocument(text, { lineCounter: lines, uniqueKeys: true, version: '1.2', prettyErrors: false })
  const at = (offset: number | undefined): string => `${path}:${lines.linePos(offset ?? 0).line}`
  for (const error of document.errors) {
    faults.push({ name: at(error.pos[0]), problem: `is not valid YAML (${error.code})` })
  }
  const places = new Map<string, Setting<unknown>>()
  for (const row of rows) places.set(row.yaml, row)
  for (const row of rows) if (row.noFile === undefined) places.set(`${row.yaml}File`, row)

  const texts = new Map<string, SettingText>()
  const walk = (node: unknown, above: string): void => {
    if (!isMap(node)) {
      faults.push({
        name: `${at(rangeStart(node))} ${above}`.trim(),
        problem: 'must hold settings as name: value',
      })
      return
    }
    for (const { key, value } of node.items) {
      const word = isScalar(key) ? String(key.value) : ''
      const place = above === '' ? word : `${above}.${word}`
      const name = `${at(rangeStart(key))} ${place}`
      const row = places.get(place)
      if (row !== undefined) {
        const text = scalarText(value, row.list === true && place === row.yaml)
        if (text === undefined) {
          faults.push({ name, problem: row.list ? 'must be a list of plain values' : 'must be one plain value' })
        } else texts.set(place, { name, text })
      } else if ([...places.keys()].some((path) => path.startsWith(`${place}.`))) walk(value, place)
      else faults.push({ name, problem: `is not a setting${suggestion(place, places.keys())}` })
    }
  }
  if (document.errors.length === 0 && document.contents !== null) walk(document.contents, '')
  return texts
}

const rangeStart = (node: unknown): number | undefined => (isNode(node) ? node.range?.[0] : undefined)

function scalarText(node: unknown, list: boolean): string | undefined {
  if (list && isSeq(node)) {
    const items = node.items.map((item) => scalarText(item, false))
    return items.every((item) => item !== undefined && item !== '' && !item.includes(',')) ? items.join(',') : undefined
  }
  if (!isScalar(node) || node.value === null) return undefined
  return typeof node.value === 'string' ? node.value : node.source
}
