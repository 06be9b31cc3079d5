import { shownBound } from '../actions/operators/state.ts'
import type { Grant } from '../authorize/grant.ts'

/** A grant as replies show it: templates are filled in, extra claims are left out. */
export const showGrant = ({ x509, jwt, secrets, databases, operator }: Grant) => ({
  ...(x509 && { x509: { dnsNames: x509.dnsNames, maxLifetimeSeconds: x509.maxLifetimeSeconds } }),
  ...(jwt && {
    jwt: {
      audiences: jwt.audiences.map(({ audience }) => audience),
      maxLifetimeSeconds: jwt.maxLifetimeSeconds,
    },
  }),
  ...(secrets.length > 0 && {
    secrets: secrets.map(({ patterns, actions }) => ({ paths: patterns.map(({ text }) => text), actions })),
  }),
  ...(databases.length > 0 && { databases }),
  ...(operator && { operator: { ...operator, bound: shownBound(operator.bound) } }),
})
