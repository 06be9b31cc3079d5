/** `purser` on a real terminal: a pty of Python's standard library, so that the test reads what a person sees. */
import { spawn } from 'node:child_process'
import { fileURLToPath } from 'node:url'
import { builtMain } from './main.ts'

const root = fileURLToPath(new URL('../..', import.meta.url))

// The child's streams are the pty: its output appears here, and our input is typed there.
const script = `
import os, pty, sys
pid, fd = pty.fork()
if pid == 0:
    os.execvp(sys.argv[1], sys.argv[1:])
shown = b''
typed = os.environ.get('TYPED', '').encode()
prompt = os.environ.get('PROMPT', '').encode()
while True:
    try:
        part = os.read(fd, 65536)
    except OSError:
        break
    if not part:
        break
    shown += part
    if typed and prompt in shown:
        os.write(fd, typed)
        typed = b''
sys.stdout.buffer.write(shown)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) % 256)
`

/**
 * Runs the command to its end.
 * @param typed once the prompt appears
 */
export function onTerminal(
  argv: string[],
  env: Record<string, string>,
  typed: { prompt: string; text: string } = { prompt: '', text: '' },
): Promise<{ code: number | null; output: string }> {
  const purser = [process.execPath, builtMain(), ...argv]
  const child = spawn('python3', ['-c', script, ...purser], {
    cwd: root,
    env: { PATH: process.env.PATH, HOME: process.env.HOME, ...env, TYPED: typed.text, PROMPT: typed.prompt },
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let output = ''
  child.stdout.setEncoding('utf8').on('data', (text: string) => (output += text))
  return new Promise((resolve, reject) => {
    child.once('error', reject)
    child.once('close', (code) => resolve({ code, output }))
  })
}
