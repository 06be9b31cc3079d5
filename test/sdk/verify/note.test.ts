import { generateKeyPairSync } from 'node:crypto'
import * as fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  createNoteSigner,
  EMPTY_ROOT,
  formatCheckpoint,
  formatVkey,
  leafHash,
  openCheckpoint,
  openNote,
  parseCheckpoint,
  parseNote,
  parseVkey,
  signCheckpoint,
  signNote,
  VerifyError,
} from '@purser/sdk/verify'

const fails = (code: string) => expect.objectContaining({ name: 'VerifyError', code })
const signerOf = (name: string) => createNoteSigner(name, generateKeyPairSync('ed25519').privateKey)

// The example of C2SP signed-note.
const vkey = 'example.com/foo+530d903a+AekyeRrm56hApGFkyQR4ZCbV54Id2LKaANYcrnKv3U2k'
const note =
  'This is an example message.\n\n— example.com/foo Uw2QOkn8srV1yJGh2VYRlL1Tnagv1YEq6TfXppzi2ONncAlTgK7Ztg1ERYNZXsYjOBH3mFXmRKuwHjG1Yu72IneyaQM=\n'

describe('the example of C2SP signed-note', () => {
  it('verifies', () => {
    expect(openNote(note, [vkey])).toEqual({ text: 'This is an example message.\n', signedBy: ['example.com/foo'] })
  })

  it('does not verify with one letter of the text changed', () => {
    expect(() => openNote(note.replace('example message', 'exampIe message'), [vkey])).toThrow(fails('bad_signature'))
  })

  it('splits its verifier key at the first two plus signs only', () => {
    const keys = Array.from({ length: 200 }, () => signerOf('a.example').vkey)
    const withPlus = keys.filter((key) => key.split('+').length > 3)
    expect(withPlus.length).toBeGreaterThan(0)
    for (const key of withPlus) expect(parseVkey(key).name).toBe('a.example')
  })
})

describe('openNote', () => {
  const [a, b] = [signerOf('a.example'), signerOf('b.example')]
  const text = 'one\n\ntwo\n'
  const signed = signNote(text, [a, b])

  it('splits at the last blank line', () => {
    expect(openNote(signed, [a.vkey]).text).toBe(text)
    expect(openNote(signed, [b.vkey, a.vkey]).signedBy).toEqual(['a.example', 'b.example'])
  })

  it('ignores signatures of unknown keys, also one that shares only the name or only the id', () => {
    const sameName = signerOf('a.example')
    expect(openNote(signNote(text, [sameName, a]), [a.vkey]).signedBy).toEqual(['a.example'])
    const sameId = { ...signerOf('c.example'), id: a.id }
    expect(openNote(signNote(text, [sameId, a]), [a.vkey]).signedBy).toEqual(['a.example'])
    expect(() => openNote(signNote(text, [sameName, sameId]), [a.vkey])).toThrow(fails('bad_signature'))
  })

  it('rejects the whole note when a known key did not make its signature', () => {
    const forged = { ...a, sign: b.sign }
    expect(() => openNote(signNote(text, [forged, b]), [a.vkey, b.vkey])).toThrow(fails('bad_signature'))
    expect(() => openNote(signNote(text, [a, forged]), [a.vkey])).toThrow(fails('bad_signature'))
    expect(openNote(signNote(text, [forged, b]), [b.vkey]).signedBy).toEqual(['b.example'])
  })

  it('rejects a note when no key is known, and a signature moved to another text', () => {
    expect(() => openNote(signed, [])).toThrow(fails('bad_signature'))
    expect(() => openNote(signed.replace('one', 'on'), [a.vkey])).toThrow(fails('bad_signature'))
  })

  it('accepts 16 signatures and more, and has a limit', () => {
    const many = Array.from({ length: 20 }, (_, i) => signerOf(`w${i}.example`))
    expect(openNote(signNote(text, [...many, a]), [a.vkey]).signedBy).toEqual(['a.example'])
    const tooMany = Array.from({ length: 65 }, () => a)
    expect(() => parseNote(signNote(text, tooMany))).toThrow(fails('bad_note'))
  })
})

describe('parseNote', () => {
  it('refuses a note in which a signature line occurs twice', () => {
    const signed = signNote('text\n', [
      createNoteSigner('example.org/log/1', generateKeyPairSync('ed25519').privateKey),
    ])
    const line = signed.slice(signed.lastIndexOf('\u2014'))
    expect(() => parseNote(signed)).not.toThrow()
    expect(() => parseNote(signed + line)).toThrow('a signature line occurs twice')
  })

  const line = note.slice(note.indexOf('—'))
  it.each([
    ['nothing', ''],
    ['text without signatures', 'text\n'],
    ['a blank line and nothing', 'text\n\n'],
    ['no blank line', `text\n${line}`],
    ['no newline at the end', note.slice(0, -1)],
    ['a carriage return', note.replace('message', 'mess\rage')],
    ['a tab', note.replace(' is', '\tis')],
    ['a NUL', note.replace(' is', '\0is')],
    ['a lone surrogate', note.replace(' is', '\ud800')],
    ['a hyphen for the dash', note.replace('—', '-')],
    ['two spaces after the dash', note.replace('— ', '—  ')],
    ['a no-break space in the name', note.replace('example.com/foo', 'example.com/\u00a0foo')],
    ['a next-line character in the name', note.replace('example.com/foo', 'example.com/\u0085foo')],
    ['a plus in the name', note.replace('example.com/foo', 'example.com/+foo')],
    ['no name', note.replace('example.com/foo ', '')],
    ['base64 without padding', note.replace('aQM=', 'aQM')],
    ['base64url', note.replace('i2ONncAlTgK7', 'i2ONnc_lTgK7')],
    ['base64 with a set bit after its end', note.replace('aQM=', 'aQN=')],
    ['something after the signature', note.replace('aQM=', 'aQM= x')],
    ['four bytes of signature', 'text\n\n— a AAAAAA==\n'],
  ])('refuses %s', (_, text) => {
    expect(() => parseNote(text)).toThrow(fails('bad_note'))
  })

  it('throws nothing but VerifyError on garbage', () => {
    const pieces = fc.constantFrom('\n', '\n\n', '— ', 'a.example', ' ', line, '\u0000', '\ud800', 'AAAAAAA=', '+')
    fc.assert(
      fc.property(
        fc.oneof(
          fc.string({ unit: 'binary' }),
          fc.array(pieces).map((some) => some.join('')),
        ),
        (text) => {
          try {
            expect(parseNote(text).signatures.length).toBeGreaterThan(0)
          } catch (error) {
            expect(error).toBeInstanceOf(VerifyError)
          }
        },
      ),
    )
  })
})

describe('verifier keys', () => {
  it.each([
    ['nothing', ''],
    ['no key', 'example.com/foo+530d903a'],
    ['another id', vkey.replace('530d903a', '530d903b')],
    ['an id in capitals', vkey.replace('530d903a', '530D903A')],
    ['another name', vkey.replace('foo', 'bar')],
    ['a name with a space', vkey.replace('example.com', 'example com')],
    ['no name', vkey.replace('example.com/foo', '')],
    ['another type', vkey.replace('+Aeky', '+Beky')],
    ['a short key', vkey.slice(0, -4)],
  ])('are refused with %s', (_, text) => {
    expect(() => parseVkey(text)).toThrow(fails('bad_key'))
  })

  it('are Ed25519 keys', () => {
    const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' })
    expect(() => formatVkey('a.example', publicKey)).toThrow(fails('bad_key'))
    expect(() => createNoteSigner('a.example', privateKey)).toThrow(fails('bad_key'))
    const pair = generateKeyPairSync('ed25519')
    expect(() => createNoteSigner('a.example', pair.publicKey)).toThrow(fails('bad_key'))
    expect(createNoteSigner('a.example', pair.privateKey).vkey).toBe(formatVkey('a.example', pair.publicKey))
  })
})

describe('checkpoints', () => {
  const origin = 'prod.example/log/1'
  const root = leafHash(Buffer.from('a'))
  const log = signerOf(origin)

  it('round-trip', () => {
    const signed = signCheckpoint(origin, 41_874, root, [log])
    expect(signed.startsWith(`${origin}\n41874\n${root.toString('base64')}\n\n— ${origin} `)).toBe(true)
    expect(openCheckpoint(signed, [log.vkey])).toEqual({ origin, size: 41_874, root, note: signed, signedBy: [origin] })
  })

  it('are signed by old and new key during a key change', () => {
    const next = signerOf(origin)
    const signed = signCheckpoint(origin, 5, root, [log, next])
    expect(openCheckpoint(signed, [log.vkey]).size).toBe(5)
    expect(openCheckpoint(signed, [next.vkey]).size).toBe(5)
  })

  it('are refused when only a key of another log signed them', () => {
    const other = signerOf('prod.example/log/2')
    const signed = signCheckpoint(origin, 5, root, [other])
    expect(() => openCheckpoint(signed, [other.vkey, log.vkey])).toThrow(fails('bad_signature'))
  })

  it.each([
    ['no root', `${origin}\n5\n`],
    ['an empty origin', `\n5\n${root.toString('base64')}\n`],
    ['a leading zero', `${origin}\n05\n${root.toString('base64')}\n`],
    ['a sign', `${origin}\n+5\n${root.toString('base64')}\n`],
    ['a size beyond 2^53', `${origin}\n9007199254740992\n${root.toString('base64')}\n`],
    ['a short root', `${origin}\n5\n${root.subarray(1).toString('base64')}\n`],
    ['an empty extension line', `${origin}\n5\n${root.toString('base64')}\n\n`],
    ['no newline at the end', `${origin}\n5\n${root.toString('base64')}`],
    ['a root over no entries', `${origin}\n0\n${root.toString('base64')}\n`],
  ])('are refused with %s', (_, text) => {
    expect(() => parseCheckpoint(text)).toThrow(fails('bad_checkpoint'))
  })

  it('may be of the empty log, and may have extension lines', () => {
    expect(parseCheckpoint(formatCheckpoint({ origin, size: 0, root: EMPTY_ROOT })).size).toBe(0)
    expect(parseCheckpoint(`${origin}\n5\n${root.toString('base64')}\nmore\n`).size).toBe(5)
  })
})
