/** docs/configuration.md is generated from the tables: `npx vitest run test/config -u` updates it. */
import { format, resolveConfig } from 'prettier'
import { expect, test } from 'vitest'
import { otherNames, settings } from '../../src/config/names.ts'
import type { Setting } from '../../src/config/setting.ts'

const head = `# Configuration

<!-- Generated from src/config/names.ts by test/config/documentation.test.ts. Edit there. -->

The server reads its settings once, at start. For each setting, the first of these sources counts:

1. a flag of the command, if there is one;
2. the environment;
3. the YAML file that \`PURSER_CONFIG\` names: the same settings, nested as in the second column (\`tls.certFile\` is \`certFile\` under \`tls\`);
4. the defaults of a command such as \`purser dev\`, then the defaults below.

A setting marked *or file* can also be read from a file: \`DATABASE_URL_FILE=/run/secrets/db\`, in YAML \`database: { urlFile: /run/secrets/db }\`. A final line break in the file is dropped.

The server does not start if a setting is set twice in one source, has an empty value, or has an unknown name. It reports all faults at once. Variables that Kubernetes adds for a Service called \`purser\` are ignored.

A list is written \`a,b,c\`, in YAML also as a list. Paths are relative to the working directory of the server.
`

function line(row: Setting<unknown>): string {
  const notes = [row.type, ...(row.noFile ? [] : ['*or file*']), ...(row.secret ? ['secret'] : [])].join(', ')
  const fallback = row.absent ?? (row.default === '' ? 'empty' : `\`${row.default}\``)
  return `| \`${row.env}\` | \`${row.yaml}\` | ${notes} | ${fallback} | ${row.doc} |`
}

test('docs/configuration.md equals the table', async () => {
  const rows: Setting<unknown>[] = Object.values(settings)
  const text = [
    head,
    '## Server',
    '',
    '| environment | YAML | value | default | description |',
    '|---|---|---|---|---|',
    ...rows.map(line),
    '',
    '## Clients',
    '',
    'The SDK and the `purser` command read these from the environment.',
    '',
    '| environment | description |',
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
