/** `purser dev`: a development server on the embedded store, with a stand-in for an orchestrator. */
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
    .summary('run a development server, ready for a first request')
    .description(
      'Runs a development server on the embedded store, with a stand-in for an orchestrator, and prints a first request to try. Ctrl-C stops it; the next start continues with the same data.',
    )
    .option('--data-dir <folder>', 'data directory (PURSER_DATA_DIR, default ./purser-data)')
    .option('--port <n>', 'port on 127.0.0.1 (default: 8443 or the next free port)', port)
    .action((flags: Flags) => dev(io, flags))
  withExamples(command, 'purser dev', 'purser dev --data-dir /tmp/purser --port 9443')
}

function port(value: string): number {
  const number = Number(value)
  if (!/^\d{1,5}$/.test(value) || number < 1 || number > 65_535)
    throw new InvalidArgumentError('It must be a port, 1 to 65535.')
  return number
}

async function dev(io: Io, flags: Flags): Promise<void> {
  const { DATABASE_URL: url, DATABASE_URL_FILE: urlFile, PURSER_MIGRATE_DATABASE_URL: _owner, ...env } = io.env
  if (url ?? urlFile)
    remark(io, 'DATABASE_URL is ignored: dev uses the embedded store; use `purser serve` with Postgres')
  const dataDir = flags.dataDir ?? env.PURSER_DATA_DIR ?? './purser-data'
  const files = openDevFiles(dataDir)
  const requestedPort = flags.port === undefined ? undefined : await freePort(flags.port, 1)
  const first = await files.port(async () => requestedPort ?? freePort(8443))
  const listen = requestedPort ?? (await freePort(first))
  const config = readConfig({
    env,
    overrides: {
      PURSER_DATA_DIR: dataDir,
      ...(requestedPort !== undefined && { PURSER_LISTEN: `127.0.0.1:${listen}` }),
    },
    defaults: {
      PURSER_TRUST_DOMAIN: trustDomain,
      PURSER_LISTEN: `127.0.0.1:${listen}`,
      // The database stores the issuer of the first start, whichever port is free today.
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
    if (listen !== first && requestedPort === undefined)
      remark(io, `port ${first} is in use, so the server listens on ${listen}`)
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

type Facts = {
  url: string
  dataDir: string
  roots: string
  token: string
  files: DevFiles
  logKey: string
  pem: string
}

function greeting(io: Io, { url, dataDir, roots, token, files, logKey, pem }: Facts): string {
  const style = createStyle(io)
  const bold = (text: string): string => style('bold', text)
  const { tokenFile } = files.workload('web')
  const fingerprint = new X509Certificate(pem).fingerprint256.replaceAll(':', '').toLowerCase()
  return `${bold(`Purser ${version}, development server`)}. Data survives restarts, but no power loss.

  address      ${bold(url)}
  data         ${dataDir}
  roots        ${roots}
  fingerprint  ${fingerprint}
  admin token  ${token}
  stand-in     the attestor dev, a stand-in for an orchestrator; its token for
               the workload web is in ${tokenFile}
  log key      verifies receipts and exports
  ${logKey}

${bold('A first request as a workload')}: certificate, JWT, secret and receipt

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
