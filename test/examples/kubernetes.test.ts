/** examples/kubernetes: the manifest fits the SDK, and the operator's commands admit its pods. */
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { parseAllDocuments } from 'yaml'
import { chooseProof } from '../../sdk/src/proof/choose.ts'
import { readSettings } from '../../sdk/src/credentials/settings.ts'
import { otherNames } from '../../src/config/names.ts'
import { cli } from '../support/cli.ts'
import { commandsIn } from '../support/commands.ts'
import { type Issuer, createIssuer } from '../support/issuer.ts'
import { type TestPurser, audience, startPurser } from '../support/purser.ts'
import { root } from '../support/source-files.ts'

type Mount = { name: string; mountPath: string; readOnly?: boolean }
type Token = { path: string; audience: string; expirationSeconds: number }
type Volume = { name: string; projected?: { sources: { serviceAccountToken: Token }[] }; emptyDir?: object }
type Manifest = {
  kind: string
  metadata: { name: string; namespace: string }
  automountServiceAccountToken?: boolean
  spec?: {
    selector: { matchLabels: Record<string, string> }
    template: {
      metadata: { labels: Record<string, string> }
      spec: {
        serviceAccountName: string
        containers: { env: { name: string; value: string }[]; volumeMounts: Mount[] }[]
        volumes: Volume[]
      }
    }
  }
}

const page = join(root, 'examples/kubernetes/README.md')
const documents = parseAllDocuments(readFileSync(join(root, 'examples/kubernetes/web.yaml'), 'utf8'))
const manifests = documents.map((document) => document.toJS() as Manifest)
const account = manifests.find(({ kind }) => kind === 'ServiceAccount') ?? expect.fail('no account')
const deployment = manifests.find(({ kind }) => kind === 'Deployment') ?? expect.fail('no deployment')
const pod = deployment.spec?.template.spec ?? expect.fail('no pod')
const [container = expect.fail('no container')] = pod.containers
const env = Object.fromEntries(container.env.map(({ name, value }) => [name, value]))
const mountOf = (name: string): Mount =>
  container.volumeMounts.find((mount) => mount.name === name) ?? expect.fail(`${name} is not mounted`)
const tokenVolume = pod.volumes.find(({ projected }) => projected) ?? expect.fail('no projected volume')
const [{ serviceAccountToken: token } = expect.fail('no token')] = tokenVolume.projected?.sources ?? []

const folder = mkdtempSync(join(tmpdir(), 'purser-kubernetes-'))
let purser: TestPurser
let cluster: Issuer

beforeAll(async () => {
  purser = await startPurser({ tls: true })
  cluster = await createIssuer('https://kubernetes.default.svc.cluster.local')
})
afterAll(async () => {
  await purser.stop()
  rmSync(folder, { recursive: true, force: true })
})

it('is YAML of one workload, whose parts name each other', () => {
  expect(documents.flatMap(({ errors, warnings }) => [...errors, ...warnings])).toEqual([])
  expect(pod.serviceAccountName).toBe(account.metadata.name)
  expect(deployment.metadata.namespace).toBe(account.metadata.namespace)
  expect(deployment.spec?.template.metadata.labels).toEqual(deployment.spec?.selector.matchLabels)
  expect(container.volumeMounts.map(({ name }) => name).sort()).toEqual(pod.volumes.map(({ name }) => name).sort())
})

it("mounts a token for Purser at the SDK's path, and none for the cluster's API", () => {
  const path = `${mountOf(tokenVolume.name).mountPath}/${token.path}`
  const nowhere = { AWS_EC2_METADATA_DISABLED: 'true', METADATA_SERVER_DETECTION: 'none' }
  expect(chooseProof(undefined, nowhere).dismissed).toContain(`${path} does not exist`)
  expect(mountOf(tokenVolume.name).readOnly).toBe(true)
  expect(token.audience).toBe(audience)
  // The kubelet accepts no shorter lifetime.
  expect(token.expirationSeconds).toBeGreaterThanOrEqual(600)
  expect(account.automountServiceAccountToken).toBe(false)
})

it('sets variables that the SDK knows, of the right form', async () => {
  expect(Object.keys(env).filter((name) => !Object.hasOwn(otherNames, name))).toEqual([])
  const settings = await readSettings({ env: { ...env, PURSER_PROOF_FILE: 'x' } })
  expect(settings).toMatchObject({ address: { origin: env.PURSER_ADDR }, logKeys: [env.PURSER_LOG_KEY] })
  expect(settings.trust.chosen).toContain(env.PURSER_CA_SHA256)
})

it('keeps its state in a memory volume', () => {
  const volume = pod.volumes.find(({ emptyDir }) => emptyDir) ?? expect.fail('no volume for the state')
  expect(volume.emptyDir).toEqual({ medium: 'Memory' })
  expect(mountOf(volume.name).mountPath).toBe(env.PURSER_STATE_DIR)
})

/** The files that the kubelet writes for this pod (contract: section 2). */
const kubeletToken = (account: string): Promise<string> =>
  cluster.token({
    aud: [token.audience],
    sub: `system:serviceaccount:shop:${account}`,
    'kubernetes.io': {
      namespace: 'shop',
      node: { name: 'node-1', uid: '5f0c7d3e-0000-4000-8000-000000000001' },
      pod: { name: `${account}-6d4cf56db6-x2x7k`, uid: '5f0c7d3e-0000-4000-8000-000000000002' },
      serviceaccount: { name: account, uid: '5f0c7d3e-0000-4000-8000-000000000003' },
    },
  })

it('is admitted by the commands of the README, and no other account is', async () => {
  const operator = { PURSER_ADDR: purser.url, PURSER_CA_FILE: join(purser.dataDir, 'ca.pem'), PURSER_API_TOKEN: purser.admin } // prettier-ignore
  const [inCluster = [], workload = [], byKeys = []] = commandsIn(page)
  // Outside a cluster, this is the command's only error.
  const { err: outside } = await cli(
    inCluster.map((name) => (name === 'prod-eu' ? 'here' : name)),
    { env: operator },
  )
  expect(outside).toMatch(/^$|\n {2}\/apiServer: is "in-cluster", but this server does not run in a cluster: /)

  const jwks = join(folder, 'jwks.json')
  writeFileSync(jwks, JSON.stringify({ keys: [cluster.jwk] }))
  for (const argv of [byKeys.map((key) => (key === 'jwks.json' ? jwks : key)), workload]) {
    const { code, err } = await cli(argv, { env: operator })
    expect({ code, err }).toEqual({ code: 0, err: '' })
  }

  const attest = async (account: string) => {
    const file = join(folder, 'token')
    writeFileSync(file, await kubeletToken(account))
    const argv = ['credentials', '--out', join(folder, 'out'), '--audience', 'payments', '-o', 'json']
    const filledIn = { ...env, ...operator, PURSER_CA_SHA256: undefined, PURSER_LOG_KEY: purser.vkeys.join(',') }
    return cli(argv, { env: { ...filledIn, PURSER_STATE_DIR: join(folder, 'state'), PURSER_PROOF_FILE: file } })
  }
  expect(await attest('other')).toMatchObject({ code: 3, err: expect.stringMatching(/purser explain req_/) })
  const { code, out, err } = await attest('web')
  expect({ code, err }).toEqual({ code: 0, err: '' })
  expect(JSON.parse(out)).toMatchObject({ spiffeId: 'spiffe://example.org/prod-eu/ns/shop/sa/web' })
})
