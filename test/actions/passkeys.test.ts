import { createHash, randomBytes } from 'node:crypto'
import { expect, it } from 'vitest'
import type { Caller } from '../../src/authorize/caller.ts'
import { openActions } from '../support/actions.ts'
import { createFakeAuthenticator } from '../support/fake-authenticator.ts'
import { password } from '../support/logins.ts'
import { audience } from '../support/purser.ts'

it('passkey actions without HTTP enrol, list, log in and remove', async () => {
  const purser = await openActions()
  const { operators, passkeys, logins } = purser.actions
  const context = purser.context()
  const { result: ada } = await purser.change('operator.create', context, (tx, snapshot) =>
    operators.create(context, tx, snapshot, { name: 'ada', role: 'operator' }),
  )
  const prefix = '192.0.2.1'
  const hashed = await operators.hashPassword(context, purser.snapshot(), { operator: 'ada', password, prefix })
  await purser.change('operator.password', context, (tx, snapshot) =>
    operators.changePassword(context, tx, snapshot, hashed),
  )
  const { role, revision } = ada
  const caller: Caller = { kind: 'operator', operator: 'ada', role, operatorRole: role, revision, tokenId: 'tok_ada', firstUse: false } // prettier-ignore
  const own = purser.context({ caller })

  const proof = { operator: 'self', currentPassword: password, prefix }
  const proven = await passkeys.prove(own, purser.snapshot(), proof)
  const creation = await purser.change('operator.second-factor', own, (tx, snapshot) =>
    passkeys.enrol(own, tx, snapshot, proven),
  )
  const authenticator = createFakeAuthenticator(audience)
  const attestation = { operator: 'self', label: 'key', credential: authenticator.create(creation.result.options) }
  const verified = await passkeys.verify(own, purser.snapshot(), attestation)
  const { result: passkey } = await purser.change('operator.second-factor', own, (tx, snapshot) =>
    passkeys.confirm(own, tx, snapshot, verified),
  )
  expect(await passkeys.list(own, purser.snapshot(), 'self')).toMatchObject([{ id: passkey.id, label: 'key' }])

  const verifier = randomBytes(32).toString('base64url')
  const challenge = createHash('sha256').update(verifier).digest('base64url')
  const { options } = logins.issuePasskeyOptions(purser.snapshot(), challenge, purser.now())
  const login = { verifier, prefix, credential: authenticator.get(options) }
  const checked = await logins.verifyPasskey(purser.snapshot(), login, purser.now())
  const session = await purser.change('operator.login', context, (tx, snapshot) =>
    logins.createByPasskey(context, tx, snapshot, checked),
  )
  expect(session.result).toMatchObject({ operator: 'ada', login: true })

  const removed = await purser.change('operator.second-factor', own, (tx, snapshot) =>
    passkeys.remove(own, tx, snapshot, { operator: 'self', id: passkey.id }),
  )
  expect(removed.entry).toMatchObject({ detail: { endedSessions: [session.result.id] } })
  expect(await passkeys.list(own, purser.snapshot(), 'self')).toEqual([])
  await purser.stop()
})
