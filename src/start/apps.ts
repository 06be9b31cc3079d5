/** The applications behind the listeners: every route, with what its handler needs. */
import { createIdentify } from '../actions/sessions/identify.ts'
import { createBootstrapTries } from '../actions/tokens/bootstrap-tries.ts'
import { createFirstUse } from '../actions/tokens/first-use.ts'
import { createNoteUse } from '../actions/tokens/last-use.ts'
import type { Config } from '../config.ts'
import { createAddressOf } from '../http/addresses.ts'
import { createHandleClientError } from '../http/client-errors.ts'
import { type DocsPage, createDocsPage } from '../http/docs-page.ts'
import type { Limits } from '../http/limits.ts'
import { type LoginPage, loadLoginPage } from '../http/login-page.ts'
import type { OpenApi } from '../http/openapi.ts'
import type { EndpointParts } from '../http/route.ts'
import { createRoutes } from '../http/routes.ts'
import { hasMapping } from '../operators/role-mappings.ts'
import type { Metrics } from '../telemetry/metrics.ts'
import { features, version } from '../version.ts'
import { createApp, isForCrls, isForWorkloads } from './app.ts'
import type { Closing } from './closing.ts'
import type { Product } from './compose.ts'
import { type Apps, metricsApp } from './listeners.ts'

type Parts = {
  config: Config
  product: Product
  openapi: OpenApi
  metrics: Metrics
  limits: Limits
  closing: Closing
  draining: () => boolean
}

export function composeApps(parts: Parts): Apps {
  const { config, product, openapi, metrics, limits, closing, draining } = parts
  const { now, randomBytes, logger } = product
  const { db, snapshots } = product.store
  const { recorder } = product.log
  const bootstrapTries = createBootstrapTries({ db, now, clock: () => performance.now() })
  closing.add(() => product.actions.watch.close())
  const renderMetrics = async () => ({ text: await metrics.render(), type: metrics.contentType })
  let docs: DocsPage | undefined
  let loginPage: LoginPage | undefined
  const routes = createRoutes({
    ...product.store,
    ...product.keys,
    ...product.secrets,
    isWatching: product.actions.watch.isWatching,
    actions: product.actions,
    log: product.log.log,
    version,
    audiences: config.audiences,
    ...(config.operatorLogin && { operatorLogin: config.operatorLogin }),
    features,
    refresh: config.keys.bundleRefresh,
    now,
    snapshotAge: () => snapshots.age(),
    appends: product.log.appends.succeeds,
    draining,
    renderMetrics,
    openapiBytes: Buffer.from(openapi.text),
    docs: () => (docs ??= createDocsPage(openapi.written)),
    loginPage: () => (loginPage ??= loadLoginPage()),
  })
  const endpoint: EndpointParts = {
    recorder,
    snapshots,
    identify: createIdentify({
      sessions: product.actions.sessions.find,
      bootstrapTries,
      hasMapping: (name) => hasMapping(config.operatorLogin, name),
    }),
    limits,
    log: logger,
    metrics,
    now,
    randomBytes,
    addressOf: createAddressOf(config.trustedProxies),
    firstUse: createFirstUse({ recorder }),
    noteUse: createNoteUse({ db, onError: (err) => logger.warn('token.last_use_failed', { err }) }),
    acceptsApiTokens: true,
    approvalActions: config.approvals.actions,
    approvals: product.actions.approvals,
  }
  const workloadEndpoint = { ...endpoint, acceptsApiTokens: false }
  const operators = createApp(routes, openapi, endpoint)
  return {
    operators,
    everybody: config.adminListen ? createApp(routes.filter(isForWorkloads), openapi, workloadEndpoint) : operators,
    ...(config.crlListen && { crls: createApp(routes.filter(isForCrls), openapi, workloadEndpoint) }),
    handleClientError: createHandleClientError(endpoint),
    metrics: metricsApp(renderMetrics),
  }
}
