/** docs/configuration.md is written from the table: `npx vitest run test/config -u` writes it anew. */
import { format, resolveConfig } from 'prettier'
import { expect, test } from 'vitest'
import { otherNames, settings } from '../../src/config/names.ts'
import type { Setting } from '../../src/config/setting.ts'

const head = `# Configuration

<!-- Written from src/config/names.ts by test/config/documentation.test.ts. Edit there. -->

The server reads its settings once, at start, from the first of these places that has them:

1. a flag of the command line, where the verb has one;
2. the environment;
3. the YAML file that \`PURSER_CONFIG\` names: the same settings, nested, as the second column says (\`tls.certFile\` is \`certFile\` under \`tls\`);
4. what a verb such as \`purser dev\` starts from, and the defaults below.

A setting marked *or file* may be read from a file instead: \`DATABASE_URL_FILE=/run/secrets/db\`, in YAML \`database: { urlFile: /run/secrets/db }\`. One line end at the end of the file is dropped.
Giving a setting twice in one place, an empty value, and a name that nothing reads are faults; all faults are reported at once. Names that Kubernetes adds for a Service called \`purser\` are ignored.
Lists are written \`a,b,c\`, in YAML also as lists; an empty list is nobody. Paths are relative to where the server was started.
`

function line(row: Setting<unknown>): string {
  const notes = [row.type, ...(row.noFile ? [] : ['*or file*']), ...(row.secret ? ['secret'] : [])].join(', ')
  const fallback = row.absent ?? (row.default === '' ? 'empty' : `\`${row.default}\``)
  return `| \`${row.env}\` | \`${row.yaml}\` | ${notes} | ${fallback} | ${row.doc} |`
}

test('docs/configuration.md says what the table says', async () => {
  const rows: Setting<unknown>[] = Object.values(settings)
  const text = [
    head,
    '## Server',
    '',
    '| environment | YAML | value | default | what it is |',
    '|---|---|---|---|---|',
    ...rows.map(line),
    '',
    '## Clients',
    '',
    'Read by the SDK, the agent and the `purser` command from the environment alone.',
    '',
    '| environment | what it is |',
    '|---|---|',
    ...Object.entries(otherNames)
      .filter(([name]) => name !== 'PURSER_CONFIG')
      .map(([name, doc]) => `| \`${name}\` | ${doc} |`),
    '',
  ].join('\n')
  const options = await resolveConfig('docs/configuration.md')
  const formatted = await format(text, { ...options, parser: 'markdown' })
  await expect(formatted).toMatchFileSnapshot('../../docs/configuration.md')
})
