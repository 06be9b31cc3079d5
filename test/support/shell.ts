/** A shell for commands that a person pastes. */
import { spawn } from 'node:child_process'

export type Shell = { code: number | null; out: string; err: string }

/** The variables of the tests are no settings of Purser, which refuses unknown ones. */
const env = Object.fromEntries(Object.entries(process.env).filter(([name]) => !name.startsWith('PURSER_TEST_')))

export function runShell(
  command: string,
  args: string[],
  options: { cwd?: string; input?: string } = {},
): Promise<Shell> {
  return new Promise((resolve, reject) => {
    const child = spawn(command, args, { env, ...(options.cwd !== undefined && { cwd: options.cwd }) })
    let [out, err] = ['', '']
    child.stdout.on('data', (chunk: Buffer) => (out += chunk.toString()))
    child.stderr.on('data', (chunk: Buffer) => (err += chunk.toString()))
    child.on('error', reject)
    child.on('close', (code) => resolve({ code, out, err }))
    // A command may end without reading its input (EPIPE); its exit code and output are judged.
    child.stdin.on('error', () => undefined)
    child.stdin.end(options.input ?? '')
  })
}
