import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { createInterface } from 'node:readline';
import { setTimeout } from 'node:timers/promises';

/* A program that locks files and does what it is told, line by line: as many as a test needs, each a process of its own. */

const PROGRAM = `
import errno, fcntl, os, signal, struct, sys
class Interrupted(Exception): pass
def interrupt(*_): raise Interrupted()
signal.signal(signal.SIGUSR1, interrupt)
SH, EX, UN, NB = fcntl.LOCK_SH, fcntl.LOCK_EX, fcntl.LOCK_UN, fcntl.LOCK_NB
def ofd(file, kind, start, length, wait=False):
  fcntl.fcntl(file, 38 if wait else 37, struct.pack('hhqqi', kind, 0, start, length, 0))
def who(file, start, length, kind=fcntl.F_WRLCK):
  kind, _, start, length, pid = struct.unpack('hhqqi', fcntl.fcntl(file, fcntl.F_GETLK, struct.pack('hhqqi', kind, 0, start, length, 0))[:struct.calcsize('hhqqi')])
  return 'free' if kind == fcntl.F_UNLCK else [{fcntl.F_RDLCK: 'shared', fcntl.F_WRLCK: 'exclusive'}[kind], start, length, 'known' if pid > 0 else 'elsewhere']
flock, lockf = fcntl.flock, fcntl.lockf
names = dict(globals())
for line in sys.stdin:
  try:
    try: answer = eval(line, names)
    except SyntaxError:
      exec(line, names)
      answer = None
    answer = 'ok' if answer is None else answer
  except OSError as error: answer = 'EDEADLK' if error.errno == errno.EDEADLK else errno.errorcode[error.errno]
  except Interrupted: answer = 'interrupted'
  except Exception as error: answer = repr(error)
  print(str(answer).replace('\\n', ' '), flush=True)
`;

const POLL_MS = 5;

export class Locker implements AsyncDisposable {
  readonly #child: ChildProcess;
  readonly #answers: AsyncIterator<string>;
  readonly #ended: Promise<unknown>;

  constructor() {
    this.#child = spawn('python3', ['-c', PROGRAM], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#answers = createInterface(this.#child.stdout!)[Symbol.asyncIterator]();
    this.#ended = new Promise((resolve) => this.#child.once('exit', resolve));
  }

  /** What a line of Python gives, an errno, or `ok`. */
  async does(line: string): Promise<string> {
    this.#child.stdin!.write(`${line}\n`);
    const { value, done } = await this.#answers.next();
    return done ? 'ended' : value;
  }

  /** Begins with a line that waits in the kernel; resolves when it does, with its answer to come. */
  async begins(line: string): Promise<{ readonly answer: Promise<string> }> {
    const answer = this.does(line);
    while (!(await this.#isInDrive())) await setTimeout(POLL_MS);
    return { answer };
  }

  signal(name: NodeJS.Signals): void {
    this.#child.kill(name);
  }

  async kill(): Promise<void> {
    this.#child.kill('SIGKILL');
    await this.#ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.kill();
  }

  /** It waits for an answer of a file system in user space. */
  async #isInDrive(): Promise<boolean> {
    return (await readFile(`/proc/${this.#child.pid}/wchan`, 'utf8')).includes('request_wait_answer');
  }
}
