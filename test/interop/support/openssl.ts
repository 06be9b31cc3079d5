// A small certificate authority of the openssl command, for inputs that are independent of Purser.

import { execFileSync } from 'node:child_process'
import { readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'

interface Pair {
  readonly certPem: string
  /** PKCS #8 */
  readonly keyPem: string
}

export interface Authority extends Pair {
  /** Issues a certificate on a new P-256 key, with these lines of an openssl extension section. */
  readonly issue: (name: string, extensions: readonly string[], ...more: string[]) => Pair
  readonly emptyCrl: () => string
}

/** Makes a self-signed P-256 CA named `name`; its files go to `folder`. */
export function createAuthority(folder: string, name: string): Authority {
  const at = (file: string) => join(folder, `${name}-${file}`)
  const read = (file: string) => readFileSync(at(file), 'utf8')
  const run = (...args: string[]) => execFileSync('openssl', args, { stdio: ['ignore', 'pipe', 'pipe'] })
  const newKey = (file: string) =>
    run('genpkey', '-algorithm', 'EC', '-pkeyopt', 'ec_paramgen_curve:P-256', '-out', at(file))

  // A configuration of its own, because each distribution's adds other extensions.
  const sections = ['[req]', 'distinguished_name=dn', '[dn]', '[ca]', 'default_ca=only', '[only]']
  const crl = [`database=${at('index')}`, 'default_md=sha256', 'default_crl_days=1', 'crl_extensions=crl']
  const crlExtensions = ['[crl]', 'authorityKeyIdentifier=keyid']
  writeFileSync(at('cnf'), [...sections, ...crl, `crlnumber=${at('number')}`, ...crlExtensions, ''].join('\n'))
  writeFileSync(at('index'), '')
  writeFileSync(at('number'), '01\n')

  newKey('ca.key')
  const extensions = [
    'basicConstraints=critical,CA:TRUE',
    'keyUsage=critical,keyCertSign,cRLSign',
    'subjectKeyIdentifier=hash',
  ].flatMap((line) => ['-addext', line])
  const subject = ['-subj', `/O=${name}`, '-days', '1']
  run('req', '-x509', '-config', at('cnf'), '-key', at('ca.key'), ...subject, ...extensions, '-out', at('ca.pem'))
  const ca = ['-CA', at('ca.pem'), '-CAkey', at('ca.key')]

  return {
    certPem: read('ca.pem'),
    keyPem: read('ca.key'),
    issue: (leaf, lines, ...more) => {
      newKey(`${leaf}.key`)
      run('req', '-new', '-config', at('cnf'), '-key', at(`${leaf}.key`), '-subj', `/O=${leaf}`, '-out', at('csr'))
      writeFileSync(at('ext'), [...lines, 'subjectKeyIdentifier=hash', 'authorityKeyIdentifier=keyid', ''].join('\n'))
      const serial = more.includes('-set_serial') ? [] : ['-CAcreateserial']
      const out = ['-days', '1', '-out', at(`${leaf}.pem`)]
      run('x509', '-req', '-in', at('csr'), ...ca, ...serial, '-extfile', at('ext'), ...more, ...out)
      return { certPem: read(`${leaf}.pem`), keyPem: read(`${leaf}.key`) }
    },
    emptyCrl: () => {
      const files = ['-keyfile', at('ca.key'), '-cert', at('ca.pem'), '-out', at('crl.pem')]
      run('ca', '-gencrl', '-config', at('cnf'), ...files)
      return read('crl.pem')
    },
  }
}
