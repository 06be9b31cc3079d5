/**
 * `/login`: a page that logs operators in and manages their passkeys. It is static, and its policy allows its own script
 * and style alone: nothing inline but the style, by its hash (CSP Level 3 section 2.3.1), and nothing of other origins.
 */
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { installedFile } from './installed.ts'

export type LoginPage = { html: Buffer; script: Buffer; policy: string }

export function loadLoginPage(): LoginPage {
  const html = readFileSync(installedFile('pages/login.html'), 'utf8')
  const [, style = ''] = /<style>(.*)<\/style>/s.exec(html) ?? []
  const hash = createHash('sha256').update(style).digest('base64')
  const policy = [
    `default-src 'none'; script-src 'self'; style-src 'sha256-${hash}'; connect-src 'self'`,
    `base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'`,
  ].join('; ')
  return { html: Buffer.from(html), script: readFileSync(installedFile('pages/login.js')), policy }
}
