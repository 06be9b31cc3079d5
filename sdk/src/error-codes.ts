/** The errors of the client. A server's refusal carries the server's own code instead (`docs/errors.md`). */
export const ownErrors = {
  // An option or the environment: nothing was sent
  bad_options: ['An option or an environment variable is wrong; nothing was sent', 'correct it; the message names it'],
  no_proof: ['No proof of this workload’s identity was found', 'provide one of the sources that the message lists'],
  bad_proof: ['The proof is not a token', 'check that the file or variable holds one token and nothing else'],
  wrong_audience: [
    'The proof is addressed to another service, so it was not sent',
    "have the orchestrator make a token for Purser's audience",
  ],

  // The connection: nothing was sent
  untrusted_server: ['The server could not be verified', 'set PURSER_CA_FILE or PURSER_CA_SHA256 to its root'],
  fingerprint_mismatch: [
    'No certificate that the server sent has the fingerprint',
    'compare PURSER_CA_SHA256 with the root: openssl x509 -in ca.pem -noout -fingerprint -sha256',
  ],
  unreachable: ['The server can’t be reached', 'check PURSER_ADDR, the network, and whether Purser is up'],
  timeout: ['It took longer than timeoutMs', 'try again; look at the network and the server’s load'],
  aborted: ['The caller’s signal aborted it', 'nothing, if that was intended'],
  closed: ['The client was closed', 'connect() again, if that was not intended'],

  // An answer that Purser does not send
  redirected: ['The server sent a redirect, which is not followed', 'set PURSER_ADDR to the server’s own address'],
  too_large: ['The answer is larger than any answer of Purser', 'check what answers at PURSER_ADDR'],
  incomplete: ['The connection broke during the answer', 'try again; the log holds what was issued'],
  bad_reply: [
    'The answer is not in Purser’s format, or not usable',
    'check what answers at PURSER_ADDR, and the clocks',
  ],
  not_offered: ['The server is too old for the request', 'request less, or update the server'],

  // Current credentials
  not_requested: ['connect() did not request this credential', 'request it there'],
  expired: [
    'The credential has expired and could not be renewed',
    'see the cause; the client recovers by itself once the cause is gone',
  ],

  // The log, which records every credential
  no_log_key: [
    'The log’s key is missing',
    'pin it with PURSER_LOG_KEY; an auditor knows it, GET /log/keys lists the keys',
  ],
  receipt_invalid: [
    'The receipt does not verify, so the credential was discarded',
    'compare PURSER_LOG_KEY with the log’s keys; if they agree, inform the auditor of the log',
  ],
  receipt_mismatch: [
    'The log’s entry differs from the received credential, which was discarded',
    'show the receipt and the message to the auditor of the log',
  ],
  log_forked: [
    'The log contradicts what it showed before',
    'keep both heads (error.heads) and show them to the auditor of the log',
  ],
  log_epoch: [
    'A new log has begun since the last receipt',
    'have an auditor confirm it, then pin the new log’s key (PURSER_LOG_KEY)',
  ],
  bad_state: ['A file in PURSER_STATE_DIR is unusable', 'find out why before you remove it'],

  // Tokens and certificates of others
  bad_token: ['The token is not valid here', 'refuse the caller; the message names the check that failed'],
  bad_peer: ['The peer is not accepted', 'refuse it; the message names the check that failed'],
  revoked: ['The token or certificate was revoked', 'refuse the caller'],
} as const satisfies Record<string, readonly [meaning: string, whatToDo: string]>

export type OwnErrorCode = keyof typeof ownErrors
