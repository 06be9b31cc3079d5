/** Output into a pipe whose reader ends first, as `head` does. */
import { expect, it } from 'vitest'
import { builtMain } from '../support/main.ts'
import { runShell } from '../support/shell.ts'

it('ends silently when the reader of its output has ended', async () => {
  // The reader ends before the first line is written.
  const script = `{ sleep 1; "${process.execPath}" "${builtMain()}" --help; echo "code $?" >&2; } | true`
  const { err } = await runShell('sh', ['-c', script])
  expect(err).toBe('code 141\n')
})
