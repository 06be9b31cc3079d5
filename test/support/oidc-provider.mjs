/**
 * An OpenID provider as a process of its own: oidc-provider with its development pages, where every password is right.
 * The settings come as JSON in the first argument; the issuer is the first line of stdout.
 */
import { createServer } from 'node:https'
import { Provider } from 'oidc-provider'

const { cert, key, clients, groups, codeSeconds, idTokenSeconds, deviceNonce } = JSON.parse(process.argv[2])

const server = createServer({ cert, key })
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `https://127.0.0.1:${server.address().port}`

const provider = new Provider(issuer, {
  clients: clients.map((client) => ({
    client_id: client.id,
    token_endpoint_auth_method: 'none',
    grant_types: client.grants,
    response_types: client.redirectUris ? ['code'] : [],
    redirect_uris: client.redirectUris ?? [],
    application_type: 'native',
  })),
  claims: { openid: ['sub'], groups: ['groups'], profile: ['preferred_username'] },
  scopes: ['openid', 'groups', 'profile'],
  // Claims of scopes are in the ID token itself, as most issuers can be told to do.
  conformIdTokenClaims: false,
  findAccount: (_, id) => ({
    accountId: id,
    claims: () => ({ sub: id, preferred_username: id.split('@')[0], groups: groups[id] ?? [] }),
  }),
  features: { deviceFlow: { enabled: true } },
  ttl: {
    DeviceCode: codeSeconds,
    IdToken: idTokenSeconds,
    AccessToken: 600,
    Grant: 600,
    Interaction: 600,
    Session: 600,
  },
  cookies: { keys: ['a key of the tests'] },
})
if (deviceNonce) {
  // As Keycloak does. RFC 8628 does not name the parameter, and oidc-provider drops it.
  const { save } = provider.DeviceCode.prototype
  provider.DeviceCode.prototype.save = function (...rest) {
    this.nonce ??= this.params?.nonce
    return save.apply(this, rest)
  }
}
provider.use(async (context, next) => {
  await next()
  // Clients ask each 5 seconds unless told (RFC 8628 section 3.2).
  if (context.oidc?.route === 'device_authorization' && context.status === 200) context.body.interval = 1
})
server.on('request', provider.callback())
process.stdout.write(`${issuer}\n`)
