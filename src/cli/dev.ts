/** `purser dev`: a server to play with, on the embedded store, with a stand-in orchestrator so that a first curl works. */
import { X509Certificate } from 'node:crypto'
import { join, resolve as absolute } from 'node:path'
import { type Command, InvalidArgumentError } from 'commander'
import { readConfig } from '../config.ts'
import { version } from '../version.ts'
import { createApi } from './api.ts'
import { type DevFiles, devWorkloads, openDevFiles } from './dev/files.ts'
import { freePort } from './dev/free-port.ts'
import { adminToken, devSecret, register } from './dev/register.ts'
import type { Io } from './io.ts'
import { withExamples } from './options.ts'
import { createStyle, remark } from './output.ts'
import { createStandIn } from './stand-in.ts'

type Flags = { dataDir?: string; port?: number }

const trustDomain = 'dev.purser.local'

export function addDev(program: Command, io: Io): void {
  const command = program
    .command('dev')
    .summary('run a server to play with, ready for a first curl')
    .description(
      'Runs a server on the embedded store, with a stand-in for an orchestrator, and prints what a first request needs. Ctrl-C stops it; started again, it goes on where it was.',
    )
    .option('--data-dir <folder>', 'where everything is kept (PURSER_DATA_DIR, default ./purser-data)')
    .option('--port <n>', 'listen on this port of 127.0.0.1; left out, 8443 or the next free one', port)
    .action((flags: Flags) => dev(io, flags))
  withExamples(command, 'purser dev', 'purser dev --data-dir /tmp/purser --port 9443')
}

function port(value: string): number {
  const number = Number(value)
  if (!/^\d{1,5}$/.test(value) || number < 1 || number > 65_535) throw new InvalidArgumentError('It must be a port.')
  return number
}

async function dev(io: Io, flags: Flags): Promise<void> {
  const { DATABASE_URL: url, DATABASE_URL_FILE: urlFile, PURSER_MIGRATE_DATABASE_URL: _owner, ...env } = io.env
  if (url ?? urlFile)
    remark(io, 'DATABASE_URL is left alone: dev runs on the embedded store, `purser serve` on Postgres')
  const dataDir = flags.dataDir ?? env.PURSER_DATA_DIR ?? './purser-data'
  const files = openDevFiles(dataDir)
  const named = flags.port === undefined ? undefined : await freePort(flags.port, 1)
  const first = await files.port(async () => named ?? freePort(8443))
  const listen = named ?? (await freePort(first))
  const config = readConfig({
    env,
    overrides: { PURSER_DATA_DIR: dataDir, ...(named !== undefined && { PURSER_LISTEN: `127.0.0.1:${listen}` }) },
    defaults: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_LISTEN: `127.0.0.1:${listen}`,
      // The database holds it for good, whichever port is free today.
      PURSER_PUBLIC_URL: `https://localhost:${first}`,
      PURSER_LOG_LEVEL: 'error',
    },
    readFile: io.readFile,
  })
  const { createLogger } = await import('../telemetry/log.ts')
  const { start } = await import('../start/server.ts')
  const running = await start(config, { log: createLogger({ level: config.log.level, stream: io.stderr }) })
  const roots = join(dataDir, 'ca.pem')
  const api = createApi({ env: {}, readFile: io.readFile }, { addr: running.url, caFile: roots })
  let refresh: NodeJS.Timeout | undefined
  try {
    const token = await adminToken(api, files, dataDir)
    const audience = config.audiences[0] ?? config.publicUrl
    const standIn = createStandIn(`https://stand-in.${trustDomain}`, files.standInKey())
    await register(api, token, standIn, config.trustDomain, audience)
    const hour = 3600
    const mint = (): void => {
      for (const name of devWorkloads) files.keepToken(name, standIn.token(name, { audience, seconds: hour }))
    }
    mint()
    refresh = setInterval(mint, (hour * 1000) / 4)
    const client = {
      PURSER_ADDR: running.url,
      PURSER_CA_FILE: absolute(roots),
      PURSER_LOG_KEY: running.vkeys.join(','),
    }
    for (const name of devWorkloads) {
      files.keepEnv(name, { ...client, PURSER_PROOF_FILE: absolute(files.workload(name).tokenFile) })
    }
    files.keepOperator({ ...client, PURSER_API_TOKEN: token })
    io.stdout.write(
      greeting(io, {
        url: running.url,
        dataDir,
        roots,
        token,
        files,
        logKey: running.vkeys[0] ?? '',
        pem: running.roots,
      }),
    )
    if (listen !== first && named === undefined) remark(io, `port ${first} is taken, so this is ${listen}`)
    await new Promise<void>((resolve) => io.onSignal(['SIGTERM', 'SIGINT'], () => resolve()))
  } finally {
    clearInterval(refresh)
    api.close()
    await running.stop()
  }
}

/** In a clone the command is an npm script. */
export const commandName = ({ env }: Pick<Io, 'env'>): string =>
  env.npm_lifecycle_event === undefined ? 'purser' : 'npm run -s purser --'

type About = {
  url: string
  dataDir: string
  roots: string
  token: string
  files: DevFiles
  logKey: string
  pem: string
}

function greeting(io: Io, { url, dataDir, roots, token, files, logKey, pem }: About): string {
  const style = createStyle(io)
  const bold = (text: string): string => style('bold', text)
  const { tokenFile } = files.workload('web')
  const fingerprint = new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
  return `${bold(`Purser ${version}, to play with`)}. Its store outlives this process, not a power loss.

  address      ${bold(url)}
  kept in      ${dataDir}
  roots        ${roots}
  fingerprint  ${fingerprint}
  admin token  ${token}
  stand-in     attestor dev: a stand-in orchestrator, its token for the workload
               web is in ${tokenFile}
  log key      what receipts and exports are verified with
  ${logKey}

${bold("A workload's first request")}: certificate, JWT, secret and receipt in one

curl --cacert ${roots} ${url}/api/v1/credentials \\
  -H 'content-type: application/json' -d @- <<EOF
{"proof": {"kind": "jwt", "token": "$(cat ${tokenFile})"},
 "x509": {"generateKey": "EC-P256"}, "jwts": [{"audience": ["orders"]}],
 "secrets": ["${devSecret}"]}
EOF

${bold('As an operator')}, in another terminal

. ${files.operatorFile.startsWith('/') ? '' : './'}${files.operatorFile}
${commandName(io)} secret consumers ${devSecret} --proof

Ctrl-C stops it.
`
}
