/**
 * The pages agree with the code: their lists are generated from its tables (`npx vitest run test/documentation -u`
 * writes them), and every file, test and heading that a page or comment names exists.
 */
import { existsSync, readFileSync, readdirSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { format, resolveConfig } from 'prettier'
import { describe, expect, it } from 'vitest'
import { ownErrors } from '../sdk/src/error-codes.ts'
import { actions } from '../src/audit/entry.ts'
import { advice } from '../src/authorize/advice.ts'
import { type RefusalCode, refusals, shown } from '../src/errors.ts'
import { routes } from './support/route-list.ts'
import { readSources, root } from './support/source-files.ts'

const read = (path: string): string => readFileSync(join(root, path), 'utf8')

async function isWrittenFrom(page: string, text: string): Promise<void> {
  const options = await resolveConfig(join(root, page))
  await expect(await format(text, { ...options, parser: 'markdown' })).toMatchFileSnapshot(join(root, page))
}

const table = (head: string[], rows: string[][]): string[] =>
  [head, head.map(() => '---'), ...rows].map((cells) => `| ${cells.join(' | ')} |`)

describe('docs/audit-events.md', () => {
  it('lists every action, and the routes that record it', async () => {
    expect(routes.length).toBeGreaterThan(30)
    const rows = Object.entries(actions).map(([action, meaning]) => {
      const own = routes.filter((route) => route.action === action)
      const reads = own.filter((route) => route.kind === 'read')
      return [
        `\`${action}\``,
        meaning,
        own.map(({ method, path }) => `\`${method} ${path}\``).join(', '),
        reads.length > 0 ? 'of operators' : 'all',
      ]
    })
    await isWrittenFrom(
      'docs/audit-events.md',
      [
        `# Audit events

<!-- The tables are written from src/audit/entry.ts by test/documentation.test.ts. Edit there. -->

The log has an entry for everything that Purser issues or changes, and for each refusal within the limits below. An entry is canonical JSON (RFC 8785). A member without a value is left out, never null. An entry does not contain its index: its inclusion proof binds the two together.

The entry of a certificate, a JWT and a secret, with shortened ids:

\`\`\`json
{
  "v": 1, "time": "2026-11-27T00:45:24.427Z", "requestId": "req_d2d1…", "action": "credentials.issue", "outcome": "granted",
  "actor": {
    "kind": "workload", "attestor": "dev", "attestorId": "att_d456…", "selectors": { "oidc:sub": "web" },
    "workload": "web", "workloadId": "wl_97ba…", "revision": 1, "spiffeId": "spiffe://dev.purser.local/dev/web", "session": "ses_9f45…"
  },
  "source": { "ip": "127.0.0.1", "userAgent": "curl/7.88.1" },
  "issued": {
    "x509": { "serialNumber": "39e7…", "sha256": "a7a2…", "publicKeySha256": "e5ac…", "notAfter": "2026-11-27T01:45:24Z", "keyId": "ca-972e…", "dnsNames": ["web.dev.internal"] },
    "jwts": [{ "jti": "65a2…", "audience": ["orders"], "expiresAt": "2026-11-27T00:50:24Z", "keyId": "OdHs…" }],
    "secrets": [{ "path": "dev/web/database", "version": 1 }]
  }
}
\`\`\`

${table(
  ['member', 'meaning'],
  [
    ['`v`, `time`', '1, and the time of the request, in UTC with milliseconds'],
    ['`requestId`', '`req_…`. The caller receives it as `Purser-Request-Id`, and `purser explain` accepts it'],
    ['`action`', 'one of the list below'],
    [
      '`outcome`',
      '`granted`: the reply may have left. `refused`: nothing was issued or changed, and `reason` says why. `failed`: a fault of Purser, nothing was issued or changed. `intended` and `completed` come before and after an effect in another system',
    ],
    [
      '`reason`',
      'the true code of a refusal ([errors.md](errors.md)), also if the caller received `attestation_failed`',
    ],
    [
      '`actor`',
      '`kind` is `workload`, `operator`, `bootstrap`, `system` or `anonymous`; then what was verified: attestor, selectors, SPIFFE ID, workload entry with its revision, session, or operator and token id. `operatorRole`: the workload acted as an operator of this role. An `anonymous` caller with `tokenId` presented an API token that has ended, or whose operator is disabled: search for it after a theft. `note` is the caller’s `Purser-Reason`',
    ],
    ['`source`', 'address and `User-Agent`, cut at 256 bytes. In a `request.summary`: the address prefix'],
    [
      '`issued`',
      'what was issued. For a certificate: serial number, SHA-256 and end. For JWTs: `jti`, audience and end. For tokens: their public ids. Never a credential itself',
    ],
    ['`revoked`', 'what a revocation ended, by the names that verifiers use'],
    [
      '`resource`, `change`',
      'the object of a change, and its state afterwards, so that the log alone shows the policy at any time',
    ],
    ['`approval`', 'the approval that the request needed: `id`, and the operator who gave it (`approver`)'],
    ['`detail`', 'further facts: conditions, counts, names'],
  ],
).join('\n')}

**Refusals.** Refusals of callers without a verified proof or live credential are recorded one by one up to a limit (\`PURSER_LIMIT_REFUSALS_PER_MINUTE\`). Beyond it they are counted, and so are requests for unknown paths and requests that a rate limit refused. Once a minute, an entry \`request.summary\` records the count for each attestor, reason and address prefix.

Refusals of a verified proof have their own limits:

- a single-use proof: one entry for each reason
- one identity: a tenth of \`PURSER_LIMIT_REFUSALS_PER_MINUTE\`
- all identities of one attestor that no workload entry matches: a tenth of \`PURSER_LIMIT_ALL_REFUSALS_PER_MINUTE\`; all other identities: the whole of it

Refusals of sessions and API tokens are recorded one by one, except those that a rate limit refused.

Two refusals have no entry, since the database does not answer: \`log_unavailable\` and \`replica_behind\`. The caller gets 503.

## What reads record

- **Values, and the log itself**: each read has an entry, before its reply leaves. This concerns values of secrets (\`secret.read\`), watches on them, searches, single entries and exports of the log, explanations, and checks of attestors and databases.
- **Other reads of operators**: each read has an entry, before its reply leaves: the object by the name in the request, or the filters of a list and the number of items in the reply (\`detail.filters\`, \`detail.found\`). This concerns definitions and lists of workload entries, attestors, databases, leases, tokens, keys and blocks; names, versions, metadata, consumers and rotations of secrets; and introspection. A workload's read of this kind has an entry only where it is refused. The table marks these actions as \`of operators\`.
- **Metrics**: no entry. They name no object.
- **Public routes** (bundle, key sets, CRLs, \`ca.pem\`, checkpoints, tiles, log keys, health): no entry. A refusal is \`request.refused\`.

The first use of an API token has an entry (\`token.use\`), whatever it is used for.

## Actions
`,
        ...table(['action', 'meaning', 'routes', 'recorded'], rows),
        '',
      ].join('\n'),
    )
  })

  it('contains the action of every route', () => {
    const documented = new Set<string>(routes.map((route) => route.action))
    expect([...documented].filter((action) => action !== 'none' && !Object.hasOwn(actions, action))).toEqual([])
  })
})

describe('docs/errors.md', () => {
  it('lists every code', async () => {
    const codes = Object.keys(refusals) as RefusalCode[]
    const isHidden = (code: RefusalCode): boolean => shown(code).code !== code
    await isWrittenFrom(
      'docs/errors.md',
      [
        `# Errors

<!-- The tables are written from src/errors.ts, src/authorize/advice.ts and sdk/src/error-codes.ts by test/documentation.test.ts. Edit there. -->

Every refusal is \`application/problem+json\` (RFC 9457) with a stable \`code\` and a \`requestId\`. The log has an entry with that id, unless refusals are only counted or nothing can be recorded now ([audit-events.md](audit-events.md)). \`detail\` and \`errors\` (JSON pointers into the request) give details that the caller may know; they never repeat a value of the request. 429 and 503 carry \`Retry-After\`.

\`\`\`json
{ "type": "urn:purser:problem:not_granted", "title": "The grants of the workload do not include this", "status": 403, "code": "not_granted", "requestId": "req_…", "errors": [{ "pointer": "/jwts/0/audience/0", "detail": "this audience is not granted" }] }
\`\`\`
`,
        ...table(
          ['code', 'status', 'meaning', 'what to do'],
          codes
            .filter((code) => !isHidden(code))
            .map((code) => [`\`${code}\``, String(refusals[code].status), refusals[code].title, advice[code]]),
        ),
        `
## Reasons of a failed attestation

A caller that fails attestation gets 401 \`attestation_failed\`, and nothing else. The log has the true code as \`reason\`, and \`purser explain req_…\` shows the reason and what would have to change.
`,
        ...table(
          ['reason', 'meaning', 'what to do'],
          codes.filter(isHidden).map((code) => [`\`${code}\``, refusals[code].title, advice[code]]),
        ),
        `
## Codes of the SDK

A \`PurserError\` of \`@purser/sdk\` has the server's code, \`status\` and \`requestId\` if the server refused, and otherwise one of these codes. Its message says what to do.
`,
        ...table(
          ['code', 'meaning', 'what to do'],
          Object.entries(ownErrors).map(([code, [meaning, whatToDo]]) => [`\`${code}\``, meaning, whatToDo]),
        ),
        '',
      ].join('\n'),
    )
  })
})

const pages = [
  'README.md',
  'CONTRIBUTING.md',
  'SECURITY.md',
  'CHANGELOG.md',
  'sdk/README.md',
  'examples/curl/README.md',
  'examples/express/README.md',
  'examples/postgres/README.md',
  'examples/github-actions/README.md',
  'examples/gitlab-ci/README.md',
  'examples/kubernetes/README.md',
]
const everyPage = [...pages, ...readdirSync(join(root, 'docs')).map((name) => `docs/${name}`)].filter(
  (path) => path.endsWith('.md') && existsSync(join(root, path)),
)

describe.each(everyPage)('%s', (page) => {
  const text = read(page)
  // Files of ours in backticks, from the root: `src/http/route.ts`, `test/http/`, `openapi.yaml`.
  const paths = [...text.matchAll(/`((?:src|sdk|test|docs|examples|bench|migrations|\.ci)\/[\w./-]*)`/g)].map(
    ([, path = '']) => path,
  )
  const links = [...text.matchAll(/\]\((?!https?:|#)([^)#\s]+)(?:#[^)]*)?\)/g)].map(([, path = '']) =>
    join(dirname(page), path),
  )

  it('names existing files', () => {
    expect([...paths, ...links].filter((path) => !existsSync(join(root, path)))).toEqual([])
  })
})

describe('docs/threat-model.md', () => {
  it('names existing tests', () => {
    const citations = [...read('docs/threat-model.md').matchAll(/`(test\/[\w./-]+)`: "([^"]+)"/g)]
    expect(citations.length).toBeGreaterThan(40)
    const missing = citations.filter(([, path = '', name = '']) => !read(path).includes(name))
    expect(missing.map(([text]) => text)).toEqual([])
  })
})

describe('comments', () => {
  const comments = ['src', 'sdk/src', 'test', 'bench', 'migrations'].flatMap((folder) =>
    readSources(folder).map(({ path, text }) => ({
      path,
      // A comment that continues in the next line is one text.
      text: text.replaceAll(/\n\s*(?:\*|\/\/) /g, ' ').match(/\/\*\*.*|\/\/ .*/g) ?? [],
    })),
  )
  const headings = new Map(
    readdirSync(join(root, 'docs'))
      .filter((name) => name.endsWith('.md'))
      .map((name) => [
        `docs/${name}`,
        [...read(`docs/${name}`).matchAll(/^#+ (.+)$/gm)].map(([, heading = '']) => heading),
      ]),
  )

  it('cite only documents of this repository, by their path from its root', () => {
    const cited = comments.flatMap(({ path, text }) =>
      text.flatMap((comment) => [...comment.matchAll(/[\w./-]+\.md\b/g)].map(([page]) => ({ path, page }))),
    )
    expect(cited.length).toBeGreaterThan(10)
    expect(cited.filter(({ page }) => !existsSync(join(root, page)))).toEqual([])
  })

  it('cite headings that exist', () => {
    const cited = comments.flatMap(({ path, text }) =>
      text.flatMap((comment) =>
        [...comment.matchAll(/(docs\/[\w-]+\.md), ([A-Z][^).;:]*)/g)].map(([, page = '', heading = '']) => ({
          path,
          page,
          heading,
        })),
      ),
    )
    expect(cited.filter(({ page, heading }) => !headings.get(page)?.some((name) => heading.startsWith(name)))).toEqual(
      [],
    )
  })
})

describe('docs/one-request.md', () => {
  const rows = read('docs/one-request.md')
    .split('\n')
    .filter((line) => /^\| *\d+ *\|/.test(line))

  it('shows about eleven files', () => {
    expect(rows.length).toBeGreaterThanOrEqual(9)
    expect(rows.length).toBeLessThanOrEqual(13)
  })

  it('names beside each file only its neighbours', () => {
    for (const row of rows) {
      const [path = '', ...others] = [...row.matchAll(/`([\w./-]+\.ts)`/g)].map(([, path = '']) => path)
      expect(path, row).toMatch(/^src\//)
      const missing = others.filter(
        (name) => !existsSync(join(root, name.includes('/') ? name : join(dirname(path), name))),
      )
      expect(missing, row).toEqual([])
    }
  })
})
