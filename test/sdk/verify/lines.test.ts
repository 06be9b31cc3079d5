import * as fc from 'fast-check'
import { expect, it } from 'vitest'
import { linesOf } from '@purser/sdk/verify'

const read = async (...chunks: Uint8Array[]) => {
  const lines: string[] = []
  for await (const line of linesOf(chunks)) lines.push(line)
  return lines
}

it('splits at newlines wherever the chunks end, also inside a character', async () => {
  const text = 'one\n\nzwölf\n\u{1f600}\ufeff'
  const bytes = Buffer.from(text)
  await fc.assert(
    fc.asyncProperty(fc.array(fc.nat(bytes.length), { maxLength: 6 }), async (cuts) => {
      const places = [0, ...cuts.sort((a, b) => a - b), bytes.length]
      const chunks = places.slice(1).map((end, i) => bytes.subarray(places[i], end))
      expect(await read(...chunks)).toEqual(text.split('\n'))
    }),
  )
})

it('ends without an empty line after the last newline', async () => {
  expect(await read(Buffer.from('a\nb\n'))).toEqual(['a', 'b'])
  expect(await read()).toEqual([])
})

it('keeps at most a line of one mebibyte, and continues after it', async () => {
  const block = Buffer.alloc(2 ** 20, 'x')
  const lines = await read(Buffer.from('a\n'), ...Array.from({ length: 20 }, () => block), Buffer.from('y\nb'))
  expect(lines).toHaveLength(3)
  expect(lines.at(0)).toBe('a')
  expect(lines.at(1)?.length).toBeGreaterThan(2 ** 20)
  expect(lines.at(1)?.length).toBeLessThan(2 ** 22)
  expect(lines.at(2)).toBe('b')
})

it('turns bytes that are not UTF-8 into another text', async () => {
  expect(await read(Buffer.of(0x61, 0xff, 0x0a, 0xc3))).toEqual(['a\ufffd', '\ufffd'])
})
