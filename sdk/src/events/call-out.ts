/**
 * Calls a function of the program and ignores its result.
 * @param onFailure receives what it throws or rejects with, so that neither ends the process
 */
export function callOut(call: () => unknown, onFailure: (error: unknown) => void): void {
  try {
    Promise.resolve(call()).catch(onFailure)
  } catch (error) {
    onFailure(error)
  }
}
