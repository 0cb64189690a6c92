/** The command line is wrong: nothing was tried, the exit code is 2. The message says what to write instead. */
export class UsageError extends Error {
  override readonly name = 'UsageError';
}

/** What was asked for failed or failed in part, for a reason that no lower layer has a code for; the exit code is 1. */
export class CommandError extends Error {
  override readonly name = 'CommandError';
}

/** It failed, and the user was told each reason already. */
export class ToldError extends Error {
  override readonly name = 'ToldError';
}
