import { describe, expect, it } from 'vitest'
import { loadOpenApi } from '../../src/http/openapi.ts'
import { isApprovable } from '../../src/operators/approvable.ts'
import { routes } from '../support/route-list.ts'

const { operations } = loadOpenApi()
const name = ({ method, path }: { method: string; path: string }): string => `${method} ${path}`

describe('the route list and openapi.yaml', () => {
  it('have the same routes', () => {
    const routeNames = routes.map(name)
    expect(new Set(routeNames).size).toBe(routeNames.length)
    expect([...routeNames].sort()).toEqual(operations.map(name).sort())
  })

  it.each(operations.map((operation) => [name(operation), operation] as const))(
    '%s: permission, action and limit are the same',
    (routeName, operation) => {
      const route = routes.find((route) => name(route) === routeName)
      expect(route).toMatchObject({
        permission: operation.permission,
        action: operation.action,
        limit: operation.limit,
      })
    },
  )

  it('are changes or issuances where their action can need an approval: the others have no such step', () => {
    const kinds = routes.filter(({ action }) => isApprovable(action)).map(({ kind }) => kind)
    expect(new Set(kinds)).toEqual(new Set(['change', 'issue']))
  })

  // A containment is a change and the work that follows it.
  it('accept Idempotency-Key only in changes, and If-Match there and in writes of the group commit', () => {
    const changes = routes.filter((route) => route.kind === 'change').map(name)
    const writes = routes.filter(({ kind, method }) => kind === 'issue' && ['PUT', 'PATCH'].includes(method)).map(name)
    const taking = (header: 'ifMatch' | 'idempotencyKey') =>
      operations.filter((operation) => operation.takes[header]).map(name)
    expect(taking('idempotencyKey').filter((route) => !changes.includes(route))).toEqual(['POST /api/v1/containments'])
    expect(taking('ifMatch').filter((route) => ![...changes, ...writes].includes(route))).toEqual([])
  })
})
