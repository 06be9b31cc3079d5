import { type Detect, variable } from './machine.ts'

/** The node agent's socket (SPIFFE Workload API), listed to explain why it is dismissed. */
export const workloadApi: Detect = (machine) => ({
  dismissed:
    variable(machine, 'SPIFFE_ENDPOINT_SOCKET') === undefined
      ? 'SPIFFE_ENDPOINT_SOCKET is not set'
      : 'SPIFFE_ENDPOINT_SOCKET is set, but this version does not speak to the Workload API yet',
})
