import { expect, test } from 'vitest'
import { otherNames, settings } from '../../src/config/names.ts'
import { faults, min, read, rootKey } from './read.ts'

test('an unknown name is a fault with the nearest name as suggestion', () => {
  expect(
    faults({ env: { ...min, PURSER_LISTN: 'x', PURSER_DATABASE_URL: 'x', PURSER_ZEBRA: '', purser_workers: '2' } }),
  ).toEqual([
    'PURSER_LISTN: is not a setting: did you mean PURSER_LISTEN?',
    'PURSER_DATABASE_URL: is not a setting: did you mean DATABASE_URL?',
    'PURSER_ZEBRA: is not a setting',
    'purser_workers: is not a setting: did you mean PURSER_WORKERS?',
  ])
})

test('names of clients and of other programs are ignored', () => {
  const clients = Object.fromEntries(
    Object.keys(otherNames)
      .filter((n) => n !== 'PURSER_CONFIG')
      .map((n) => [n, 'x']),
  )
  expect(
    read({ env: { ...min, ...clients, PURSER_API_TOKEN_FILE: '/x', HOME: '/root', PURSERX: 'y' } }).trustDomain,
  ).toBe('example.org')
})

test('the variables of a Kubernetes Service called purser are ignored; a misspelling that resembles one is a fault', () => {
  const links = {
    PURSER_SERVICE_HOST: '10.0.0.1',
    PURSER_SERVICE_PORT: '8443',
    PURSER_SERVICE_PORT_HTTPS: '8443',
    PURSER_PORT: 'tcp://10.0.0.1:8443',
    PURSER_PORT_8443_TCP: 'tcp://10.0.0.1:8443',
    PURSER_PORT_8443_TCP_PROTO: 'tcp',
    PURSER_PORT_8443_TCP_PORT: '8443',
    PURSER_PORT_8443_TCP_ADDR: '10.0.0.1',
    PURSER_METRICS_SERVICE_HOST: 'fd00::1',
    PURSER_METRICS_PORT: 'tcp://[fd00::1]:9090',
  }
  expect(read({ env: { ...min, ...links } }).trustDomain).toBe('example.org')
  expect(faults({ env: { ...min, PURSER_PORT: '8443', PURSER_METRICS_PORT: '9090' } })).toHaveLength(2)
})

test('a setting that names a file has no second name that reads it from one', () => {
  const env = { PURSER_TLS_CERT_FILE_FILE: '/x', PURSER_ROOT_KEY_FILE_FILE: '/x', PURSER_CONFIG_FILE: '/x' }
  expect(faults({ env: { ...min, ...env } })).toHaveLength(3)
})

test('each name, and each key of the file, is described once', () => {
  const rows = Object.values(settings)
  const names = rows.flatMap((row) => ('noFile' in row ? [row.env] : [row.env, `${row.env}_FILE`]))
  const places = rows.flatMap((row) => ('noFile' in row ? [row.yaml] : [row.yaml, `${row.yaml}File`]))
  const all = [...names, ...Object.keys(otherNames)]
  expect(new Set(all).size).toBe(all.length)
  expect(new Set(places).size).toBe(places.length)
})

test('every default passes its own parser', () => {
  const config = read({ env: { ...min, DATABASE_URL: 'postgres://h/d', PURSER_ROOT_KEY: rootKey } })
  for (const row of Object.values(settings)) {
    if ('default' in row) expect(() => row.parse(row.default ?? '')).not.toThrow()
    else expect('absent' in row && row.absent).toBeTruthy()
  }
  expect(config.warnings).toEqual([])
})
