// Reads TAP as it comes: a line for each file that is done, all that failed in full, and how many tests passed.

/** Lines of one file that are kept until it is done. */
const KEPT_LINES_MAX = 5000;

/** The tree of TAP: depth 0 is a file, depth 1 a test, what is deeper its assertions. */
export class TapResults {
  passed = 0;
  failed = 0;
  skipped = 0;
  #print;
  #file = startOfFile();
  #rest = '';
  #isInFileDiagnostics = false;

  constructor(print) {
    this.#print = print;
  }

  add(text) {
    const lines = (this.#rest + text).split('\n');
    this.#rest = lines.pop();
    for (const line of lines) this.#line(line);
  }

  end() {
    if (this.#rest !== '') this.#line(this.#rest);
    this.#rest = '';
    // What stopped in the middle of a file is said; that it failed is known from the exit code.
    for (const line of this.#file.lines) this.#print(line);
  }

  #line(line) {
    // What tap says of the process of a file that failed.
    if (line === '  ---') this.#isInFileDiagnostics = true;
    if (this.#isInFileDiagnostics) {
      this.#isInFileDiagnostics = line !== '  ...';
      return;
    }
    const file = this.#file;
    const match = /^( {4})?(not )?ok\b(?: \d+)?(?: - )?(.*)$/.exec(line);
    if (!match) {
      if (isWorthShowing(line) && file.lines.length < KEPT_LINES_MAX) file.lines.push(line);
      return;
    }
    const [, isTest, not, title] = match;
    if (!isTest) return this.#fileIsDone(title, not !== undefined);
    if (not) {
      file.failed += 1;
      file.lines.push(line);
    } else if (/# SKIP/i.test(title)) {
      file.skipped += 1;
      file.skips.push(title.replace(/\s*# time=.*$/, ''));
    } else file.passed += 1;
    // What an intact test printed says nothing about one that failed.
    if (!not) file.lines.length = file.kept;
    file.kept = file.lines.length;
  }

  #fileIsDone(title, isFailed) {
    const { passed, skipped, skips, lines } = this.#file;
    // A file that ends badly outside of its tests is a failed test too.
    const failed = isFailed ? Math.max(this.#file.failed, 1) : this.#file.failed;
    const [, name = title, ms] = /^(.*?)(?: # time=([\d.]+)ms)?$/.exec(title) ?? [];
    const time = ms === undefined ? '' : ` (${(Number(ms) / 1000).toFixed(1)} s)`;
    this.#print(
      `${failed > 0 ? 'FAIL' : 'ok  '} ${name}: ${passed} passed${failed > 0 ? `, ${failed} failed` : ''}${time}`
    );
    for (const skip of skips) this.#print(`       left out: ${skip}`);
    if (failed > 0) for (const line of lines) this.#print(line);
    this.passed += passed;
    this.failed += failed;
    this.skipped += skipped;
    this.#file = startOfFile();
  }
}

function startOfFile() {
  return { passed: 0, failed: 0, skipped: 0, skips: [], lines: [], kept: 0 };
}

/** What is deeper than files, save assertions that passed. */
function isWorthShowing(line) {
  return /^ {4}\s*\S/.test(line) && !/^\s*(ok \d+\b|\d+\.\.\d+|# time=|# \{ total)/.test(line);
}
