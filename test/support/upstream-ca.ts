import { opensslOutput, scratch } from './openssl.ts'

export type UpstreamCa = {
  root: string
  /**
   * Signs a request; `by` is `root` or the name of an intermediate, `extensions` lines of an openssl extfile.
   * @param serial hex, with a sign when it is negative; by default, a number of its own
   */
  signed: (csr: string, by: string, extensions: string[], serial?: string) => string
  intermediate: (name: string, by: string, extensions: string[]) => string
}

/**
 * A company's CA, made of openssl alone.
 *
 * @param parts.key arguments of `openssl genpkey` for the root's key
 * @param parts.keyPem the root's key itself
 * @param parts.digest what the root signs with, where its key leaves a choice
 */
export function upstreamCa(parts: { key?: string[]; keyPem?: string; digest?: string } = {}): UpstreamCa {
  const { key = ['-algorithm', 'ED25519'], digest } = parts
  const file = scratch()
  const config = ['-config', file('empty.cnf', '[req]\ndistinguished_name=dn\nprompt=no\n[dn]\nCN=upstream root\n')]
  const rootKey = file('root.key', parts.keyPem ?? opensslOutput(['genpkey', ...key]))
  const usage = ['basicConstraints=critical,CA:TRUE', 'keyUsage=critical,keyCertSign,cRLSign']
  const extensions = usage.flatMap((extension) => ['-addext', extension])
  const root = opensslOutput(['req', '-x509', '-new', ...config, '-key', rootKey, '-days', '100', ...extensions])
  file('root.pem', root)
  let count = 0

  function signed(csr: string, by: string, lines: string[], serial?: string): string {
    count++
    const ca = [
      '-CA',
      file(`${by}.pem`),
      '-CAkey',
      file(`${by}.key`),
      '-set_serial',
      serial === undefined ? String(1000 + count) : serial.replace(/^-?/, '$&0x'),
    ]
    const extfile = ['-extfile', file(`${count}.ext`, lines.join('\n'))]
    return opensslOutput(['x509', '-req', '-days', '50', ...ca, ...extfile, ...(digest ? [digest] : [])], csr)
  }

  function intermediate(name: string, by: string, lines: string[]): string {
    const path = file(`${name}.key`, opensslOutput(['genpkey', '-algorithm', 'ED25519']))
    const csr = opensslOutput(['req', '-new', ...config, '-key', path, '-subj', `/CN=${name}`])
    const pem = signed(csr, by, lines)
    file(`${name}.pem`, pem)
    return pem
  }

  return { root, signed, intermediate }
}
