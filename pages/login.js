/** The page /login: a login by passkey or password, and the passkeys of the operator. It uses the public API alone. */

/** Whether this browser probably has a session: scripts cannot see its cookie. */
const sessionHint = 'purser-session'

const byId = (id) => document.getElementById(id)

/** A refusal of the server: RFC 9457. */
class Refused extends Error {
  constructor(problem, retryAfter) {
    super(problem.title)
    this.problem = problem
    this.retryAfter = retryAfter
  }
}

async function call(method, path, body) {
  const response = await fetch(path, {
    method,
    headers: { 'purser-csrf': '1', ...(body && { 'content-type': 'application/json' }) },
    ...(body && { body: JSON.stringify(body) }),
  })
  if (response.status === 204) return undefined
  const reply = await response.json()
  if (!response.ok) throw new Refused(reply, response.headers.get('retry-after'))
  return reply
}

const fields = {
  '/currentPassword': 'The password',
  '/password': 'The password',
  '/operator': 'The name',
  '/code': 'The code',
  '/label': 'The name of the passkey',
  '/credential': 'The passkey',
}

/** @param whenUnknown what to say where the server gives no reason */
function inWords(error, whenUnknown) {
  if (error instanceof Refused) {
    const { code, detail, errors = [], title } = error.problem
    if (code === 'rate_limited') return `Too many attempts: try again in ${error.retryAfter} seconds.`
    if (code === 'code_required') return 'Type a code of your authenticator app, or a recovery code, too.'
    if (code === 'unauthenticated') return whenUnknown
    const details = errors.map((part) => `${fields[part.pointer] ?? part.pointer} ${part.detail}.`)
    return details.join(' ') || `${detail ?? title}.`
  }
  if (error.name === 'NotAllowedError') return 'No passkey was used: the request was cancelled, or it timed out.'
  if (error.name === 'InvalidStateError') return 'This device has a passkey of yours already.'
  if (error.name === 'SecurityError') return 'The browser refuses passkeys here: is this the host name of the server?'
  return 'The server cannot be reached: check the connection, and try again.'
}

function say(text) {
  byId('message').textContent = text
}

/** Runs a task of a button or form, which stays disabled meanwhile. */
async function attempt(control, whenUnknown, task) {
  say('')
  control.disabled = true
  try {
    await task()
  } catch (error) {
    say(inWords(error, whenUnknown))
    if (error instanceof Refused && error.problem.code === 'code_required') byId('code').focus()
  } finally {
    control.disabled = false
  }
}

const base64url = (bytes) =>
  btoa(String.fromCharCode(...new Uint8Array(bytes)))
    .replaceAll('+', '-')
    .replaceAll('/', '_')
    .replace(/=+$/, '')

/** The challenge counts only together with a secret of this page. */
async function loginWithPasskey() {
  const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)))
  const challenge = base64url(await crypto.subtle.digest('SHA-256', new TextEncoder().encode(verifier)))
  const { publicKey } = await call('POST', '/api/v1/sessions:passkey-options', { challenge })
  const made = await navigator.credentials.get({
    publicKey: PublicKeyCredential.parseRequestOptionsFromJSON(publicKey),
  })
  const { id, response } = made.toJSON()
  const { clientDataJSON, authenticatorData, signature, userHandle } = response
  const credential = { id, clientDataJSON, authenticatorData, signature, userHandle }
  await call('POST', '/api/v1/sessions:passkey', { verifier, credential, cookie: true })
}

async function loginWithPassword() {
  const code = byId('code').value.trim()
  const names = { operator: byId('operator').value, password: byId('password').value }
  await call('POST', '/api/v1/sessions', { ...names, ...(code !== '' && { code }), cookie: true })
}

async function addPasskey() {
  const code = byId('present-code').value.trim()
  const proof = { currentPassword: byId('present-password').value, ...(code !== '' && { code }) }
  const { publicKey } = await call('POST', '/api/v1/operators/self:enrol-passkey', proof)
  const made = await navigator.credentials.create({
    publicKey: PublicKeyCredential.parseCreationOptionsFromJSON(publicKey),
  })
  const { id, response } = made.toJSON()
  const { clientDataJSON, attestationObject } = response
  const credential = { id, clientDataJSON, attestationObject }
  await call('POST', '/api/v1/operators/self:confirm-passkey', { label: byId('label').value, credential })
  byId('add-form').reset()
}

const timeOf = (text) => new Date(text).toLocaleString()

function passkeyItem({ id, label, createdAt, lastUsedAt }) {
  const item = document.createElement('li')
  const used = lastUsedAt === undefined ? 'never used' : `last used ${timeOf(lastUsedAt)}`
  item.append(`${label}, added ${timeOf(createdAt)}, ${used}`)
  const button = document.createElement('button')
  button.type = 'button'
  button.textContent = `Remove ${label}`
  button.addEventListener('click', () => {
    if (!confirm(`Remove the passkey ${label}? Your sessions elsewhere end.`)) return
    void attempt(button, 'Your session has ended: log in again.', async () => {
      await call('POST', '/api/v1/operators/self:remove-passkey', { id })
      await showAccount()
      say(`The passkey ${label} is removed.`)
    })
  })
  item.append(button)
  return item
}

function show(section) {
  for (const id of ['log-in', 'account']) byId(id).hidden = id !== section
  byId(`${section}-title`).focus()
}

async function showAccount() {
  const self = await call('GET', '/api/v1/credentials/self')
  const { items } = await call('GET', '/api/v1/operators/self:passkeys')
  byId('name').textContent = self.operator
  byId('no-passkeys').hidden = items.length > 0
  byId('passkeys').replaceChildren(...items.map(passkeyItem))
  localStorage.setItem(sessionHint, '1')
  show('account')
}

function showLogin() {
  localStorage.removeItem(sessionHint)
  byId('password-form').reset()
  show('log-in')
}

byId('with-passkey').addEventListener('click', (event) => {
  void attempt(event.currentTarget, 'This passkey is not accepted here.', async () => {
    await loginWithPasskey()
    await showAccount()
  })
})

byId('password-form').addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(event.submitter, 'The name, the password or the code is not right.', async () => {
    await loginWithPassword()
    byId('password-form').reset()
    await showAccount()
  })
})

byId('add-form').addEventListener('submit', (event) => {
  event.preventDefault()
  void attempt(event.submitter, 'The code was used before, or your session has ended.', async () => {
    await addPasskey()
    await showAccount()
    say('The passkey is added: it logs you in from now on.')
  })
})

byId('log-out').addEventListener('click', (event) => {
  void attempt(event.currentTarget, 'Your session has ended.', async () => {
    await call('DELETE', '/api/v1/sessions/self').catch((error) => {
      if (error.problem?.code !== 'unauthenticated') throw error
    })
    showLogin()
    say('You are logged out.')
  })
})

if (localStorage.getItem(sessionHint) === null) showLogin()
else showAccount().catch(showLogin)
