/**
 * Calls a function of somebody else's, of whose result nothing is made.
 * @param onFailure told what it throws, or what its promise rejects with: neither is to end a process
 */
export function callOut(call: () => unknown, onFailure: (error: unknown) => void): void {
  try {
    Promise.resolve(call()).catch(onFailure)
  } catch (error) {
    onFailure(error)
  }
}
