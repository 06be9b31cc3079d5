/** The codes of all failures of verification. They are stable: programs may compare them. */
export type VerifyCode =
  | 'bad_argument'
  | 'bad_base64'
  | 'bad_key'
  | 'bad_note'
  | 'bad_signature'
  | 'bad_checkpoint'
  | 'bad_proof'
  | 'bad_inclusion'
  | 'bad_consistency'
  | 'bad_commitment'
  | 'bad_receipt'
  | 'not_canonical'
  | 'index_mismatch'
  | 'origin_mismatch'
  | 'log_shrank'
  | 'bad_export'

/** The only error that this library throws. `code` is stable; `message` is for people. */
export class VerifyError extends Error {
  readonly code: VerifyCode

  constructor(code: VerifyCode, message: string) {
    super(message)
    this.name = 'VerifyError'
    this.code = code
  }
}
