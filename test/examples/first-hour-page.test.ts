/** Every command of docs/first-hour.md, as a new user would type it: a real shell and a server of its own. */
import { afterAll, expect, it } from 'vitest'
import { anyPort } from '../support/dev.ts'
import { openPage } from '../support/page.ts'
import { runShell } from '../support/shell.ts'

const page = openPage('first-hour.md')

afterAll(() => page.remove())

it('runs from the first to the last, with the output of the page', async () => {
  expect(page.blocks.length).toBeGreaterThan(10)
  const port = await anyPort()
  // The page has the usual port. The server ends with the shell, also when a command fails.
  const script = ["trap 'kill $SERVER 2>/dev/null; wait' EXIT", ...page.blocks]
    .join('\n')
    .replaceAll(':8443', `:${port}`)
  const result = await runShell('sh', ['-eu', '-c', `${page.path}\n${script}`], { cwd: page.folder })
  expect({ code: result.code, err: result.code === 0 ? '' : result.err }).toEqual({ code: 0, err: '' })
  const { out } = result
  expect(out).toMatch(/web runs with a key of 32 characters/)
  expect(out).toMatch(/state +contained/)
})
